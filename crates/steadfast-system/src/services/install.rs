//! What the text of a unit file says below `[Install]`.

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

/// What the text of a unit file says below `[Install]`.
pub(super) fn install(text: &str) -> Install {
    let mut install = Install::default();
    install.add(text);
    install
}

/// The units that are enabled and disabled with one, by the text of its file.
pub fn also(text: &str) -> Vec<String> {
    install(text).also
}

/// Whether the text of a unit file has something that can be enabled.
pub fn has_install_rules(text: &str) -> bool {
    install(text).rules
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
