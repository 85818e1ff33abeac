//! How a deployment is asked, called and brought to rest. It stays with the deployment, so that one which no model knows
//! any more is treated on its own terms; none of it is part of a digest, and the newest of one digest holds.

use super::NO_ID;
use crate::application::Port;
use crate::application::component::{Ask, Command, Hook, Settings};
use crate::application::ports::parse_port;
use crate::deploying::Header;
use crate::lower::{Piece, Rendered};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// As it is stored. Words of the deployment's own stand in it as in its promises.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conduct {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    health: Option<Asked>,
    /// Those of blue-green's slots among them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    ports: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    drain: Option<Call>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ready: Option<Call>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    quiesce: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Asked {
    Http { url: String, status: Vec<u16>, header: BTreeMap<String, String> },
    Tcp(String),
    Command { arguments: Vec<String>, user: Option<String> },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Call {
    Command(Vec<String>),
    Http { url: String, method: String, header: Vec<Line> },
}

/// A line of the head of a request. Of a secret, its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Line {
    name: Option<String>,
    value: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Part {
    Text(String),
    Secret(String),
}

impl Conduct {
    pub(super) fn of(settings: &Settings) -> Conduct {
        Conduct {
            health: settings.health.ask.as_ref().map(Asked::of),
            ports: settings.listens().map(|it| it.to_string()).collect(),
            drain: settings.drain.as_ref().map(Call::of),
            ready: settings.ready.as_ref().map(Call::of),
            quiesce: settings.quiesce.units.iter().map(ToString::to_string).collect(),
        }
    }

    pub fn is_empty(&self) -> bool {
        *self == Conduct::default()
    }

    /// How the deployment of this id is asked whether it is well; none where its services alone are.
    pub fn ask(&self, id: &str) -> Option<Ask> {
        Some(match self.health.as_ref()? {
            Asked::Http { url, status, header } => Ask::Http {
                url: with_id(url, id),
                status: status.clone(),
                header: header
                    .iter()
                    .map(|(name, it)| (Arc::from(&**name), with_id(it, id)))
                    .collect(),
            },
            Asked::Tcp(place) => Ask::Tcp(with_id(place, id)),
            Asked::Command { arguments, user } => Ask::Command(Command {
                arguments: arguments.iter().map(|it| with_id(it, id)).collect(),
                user: user.as_deref().map(Arc::from),
            }),
        })
    }

    /// Everything that it alone listens on.
    pub fn ports(&self) -> Vec<Port> {
        self.ports.iter().filter_map(|it| parse_port(it).ok()).collect()
    }

    pub fn drain(&self, id: &str) -> Option<Hook> {
        self.drain.as_ref().map(|it| it.hook(id))
    }

    pub fn ready(&self, id: &str) -> Option<Hook> {
        self.ready.as_ref().map(|it| it.hook(id))
    }

    /// Units that stand still during a step, in the order in which they are stopped.
    pub fn quiesce(&self) -> &[String] {
        &self.quiesce
    }
}

fn with_id(text: &str, id: &str) -> Arc<str> {
    text.replace(NO_ID, id).into()
}

impl Asked {
    fn of(ask: &Ask) -> Asked {
        match ask {
            Ask::Http { url, status, header } => Asked::Http {
                url: url.to_string(),
                status: status.clone(),
                header: header
                    .iter()
                    .map(|(name, it)| (name.to_string(), it.to_string()))
                    .collect(),
            },
            Ask::Tcp(place) => Asked::Tcp(place.to_string()),
            Ask::Command(Command { arguments, user }) => Asked::Command {
                arguments: arguments.iter().map(ToString::to_string).collect(),
                user: user.as_ref().map(ToString::to_string),
            },
        }
    }
}

impl Call {
    fn of(hook: &Hook) -> Call {
        match hook {
            Hook::Command(arguments) => {
                Call::Command(arguments.iter().map(ToString::to_string).collect())
            }
            Hook::Http { url, method, header } => Call::Http {
                url: url.to_string(),
                method: method.to_string(),
                header: header.iter().map(Line::of).collect(),
            },
        }
    }

    fn hook(&self, id: &str) -> Hook {
        match self {
            Call::Command(arguments) => {
                Hook::Command(arguments.iter().map(|it| with_id(it, id)).collect())
            }
            Call::Http { url, method, header } => Hook::Http {
                url: with_id(url, id),
                method: Arc::from(&**method),
                header: header.iter().map(|it| it.header(id)).collect(),
            },
        }
    }
}

impl Line {
    fn of(header: &Header) -> Line {
        let part = |it: &Piece| match it {
            Piece::Plain(text) => Part::Text(text.to_string()),
            Piece::Secret(name) => Part::Secret(name.to_string()),
        };
        let value = header.value.pieces.iter().map(part).collect();
        Line { name: header.name.as_ref().map(ToString::to_string), value }
    }

    fn header(&self, id: &str) -> Header {
        let piece = |it: &Part| match it {
            Part::Text(text) => Piece::Plain(with_id(text, id)),
            Part::Secret(name) => Piece::Secret(Arc::from(&**name)),
        };
        let pieces = self.value.iter().map(piece).collect();
        Header { name: self.name.as_deref().map(Arc::from), value: Rendered { pieces } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_a_deployment_is_called_is_read_as_it_was_stored() {
        let drain = Hook::Http {
            url: format!("https://lb.xyz.example/{NO_ID}").into(),
            method: "POST".into(),
            header: vec![Header {
                name: Some("Authorization".into()),
                value: Rendered {
                    pieces: [Piece::Plain("Bearer ".into()), Piece::Secret("lb".into())].into(),
                },
            }],
        };
        let ask = Ask::Http {
            url: "http://127.0.0.1:8081/".into(),
            status: vec![200, 204],
            header: [("X-Release".into(), "1.4".into())].into(),
        };
        let conduct = Conduct {
            health: Some(Asked::of(&ask)),
            ports: vec!["8081".into(), "53/udp".into()],
            drain: Some(Call::of(&drain)),
            ready: None,
            quiesce: vec!["people-jobs".into()],
        };
        let text = serde_json::to_string(&conduct).unwrap();
        let expected = r#"{"health":{"http":{"url":"http://127.0.0.1:8081/","status":[200,204],"header":{"X-Release":"1.4"}}},"ports":["8081","53/udp"],"drain":{"http":{"url":"https://lb.xyz.example/zgivenlaterz","method":"POST","header":[{"name":"Authorization","value":[{"text":"Bearer "},{"secret":"lb"}]}]}},"quiesce":["people-jobs"]}"#;
        assert_eq!(text, expected);
        let read: Conduct = serde_json::from_str(&text).unwrap();
        assert_eq!((read.ask("0a1b"), read.ready("0a1b")), (Some(ask), None));
        let Some(Hook::Http { url, header, .. }) = read.drain("0a1b") else { panic!("{read:?}") };
        assert_eq!(&*url, "https://lb.xyz.example/0a1b");
        let Hook::Http { header: given, .. } = drain else { unreachable!() };
        assert_eq!((header, read.ports().len()), (given, 2));
    }
}
