//! What the text of a unit file says below `[Install]`.

/// What `[Install]` says, as far as it decides whether a unit can be enabled.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Install {
    pub(super) rules: bool,
    pub(super) also: bool,
    pub(super) aliases: Vec<String>,
    pub(super) default_instance: Option<String>,
}

impl Install {
    pub(super) fn add(&mut self, text: &str) {
        let mut section = "";
        for line in text.lines() {
            let line = line.trim();
            if line.starts_with('[') {
                section = line;
            }
            let Some((key, value)) = line.split_once('=') else { continue };
            if section != "[Install]" || value.trim().is_empty() {
                continue;
            }
            match key.trim() {
                "WantedBy" | "RequiredBy" | "UpheldBy" => self.rules = true,
                "Alias" => {
                    self.rules = true;
                    self.aliases.extend(value.split_whitespace().map(str::to_owned));
                }
                "Also" => self.also = true,
                "DefaultInstance" => self.default_instance = Some(value.trim().to_owned()),
                _ => {}
            }
        }
    }
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
