//! What the text of a unit file says below `[Install]`.

use super::Enablement;

/// What `[Install]` says, as far as it decides whether a unit can be enabled.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Install {
    pub(super) rules: bool,
    /// Other units that are enabled and disabled with it.
    pub(super) also: Vec<String>,
    pub(super) aliases: Vec<String>,
    pub(super) default_instance: Option<String>,
}

impl Install {
    pub(super) fn add(&mut self, text: &str) {
        for (key, value) in install_settings(text) {
            match key {
                "WantedBy" | "RequiredBy" | "UpheldBy" => self.rules = true,
                "Alias" => {
                    self.rules = true;
                    self.aliases.extend(value.split_whitespace().map(str::to_owned));
                }
                "Also" => self.also.extend(value.split_whitespace().map(str::to_owned)),
                "DefaultInstance" => self.default_instance = Some(value.to_owned()),
                _ => {}
            }
        }
    }

    pub(super) fn without_links(&self) -> Enablement {
        if self.rules {
            Enablement::Disabled
        } else if self.also.is_empty() {
            Enablement::Static
        } else {
            Enablement::Indirect
        }
    }
}

/// What is set below `[Install]`, in the order of the lines.
fn install_settings(text: &str) -> Vec<(&str, &str)> {
    let mut section = "";
    let mut settings = vec![];
    for line in text.lines() {
        let line = line.trim();
        if line.starts_with('[') {
            section = line;
        }
        let Some((key, value)) = line.split_once('=') else { continue };
        let (key, value) = (key.trim(), value.trim());
        if section == "[Install]" && !key.starts_with(['#', ';']) && !value.is_empty() {
            settings.push((key, value));
        }
    }
    settings
}

/// Whether enabling a unit with its new text makes other links than with its old one. An old one of which
/// no links can be made has not made those that there are.
pub fn enables_otherwise(old: &str, new: &str) -> bool {
    has_install_rules(old) && install_settings(old) != install_settings(new)
}

/// What a unit is as long as no link enables it, by the text of its file.
pub fn without_links(text: &str) -> Enablement {
    let mut install = Install::default();
    install.add(text);
    install.without_links()
}

/// The units that are enabled and disabled with one, by the text of its file.
pub fn also(text: &str) -> Vec<String> {
    let mut install = Install::default();
    install.add(text);
    install.also
}

/// Whether the text of a unit file has something that can be enabled.
pub fn has_install_rules(text: &str) -> bool {
    let mut install = Install::default();
    install.add(text);
    install.rules
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_set_below_install_makes_other_links() {
        let text = "[Service]\nX=1\n[Install]\nWantedBy=multi-user.target\n";
        let same = "[Service]\nX=2\n[Install]\n# as before\n#Alias=x\nWantedBy = multi-user.target";
        assert!(!enables_otherwise(text, same));
        for other in
            ["", "[Install]\nWantedBy=timers.target\n", &format!("{text}Alias=x.service\n")]
        {
            assert!(enables_otherwise(text, other), "{other}");
        }
        assert!(!enables_otherwise("[Install]\n", text));
    }

    #[test]
    fn without_a_link_a_unit_is_what_its_text_says() {
        for (text, is, takes) in [
            ("[Service]\n", Enablement::Static, &[][..]),
            ("[Install]\nWantedBy=a.target\n", Enablement::Disabled, &[]),
            ("[Install]\nAlso=b.socket c.timer\n", Enablement::Indirect, &["b.socket", "c.timer"]),
            ("[Install]\nAlias=a.service\nAlso=b.socket\n", Enablement::Disabled, &["b.socket"]),
        ] {
            assert_eq!(
                (without_links(text), also(text)),
                (is, takes.iter().map(|it| (*it).to_owned()).collect())
            );
        }
    }

    #[test]
    fn only_the_install_section_counts() {
        assert!(has_install_rules("[Unit]\nX=1\n[Install]\nWantedBy = multi-user.target\n"));
        assert!(has_install_rules("[Install]\nAlias=x.service\n"));
        for text in
            ["", "[Unit]\nWantedBy=x\n", "[Install]\nWantedBy=\n", "[Install]\n#WantedBy=x\n"]
        {
            assert!(!has_install_rules(text), "{text}");
        }
    }
}
