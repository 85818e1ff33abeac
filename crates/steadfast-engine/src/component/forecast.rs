//! What users will see of a step that is due, as far as steps on this machine show it.

use super::deployment::{Deployment, Switch, way};
use super::row::Row;
use serde::Serialize;
use std::fmt;
use std::time::Duration;

/// For how long a component will not answer while it is switched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gap {
    /// Nobody is served yet, or the way of switching leaves none.
    None,
    /// No step of this kind was taken here.
    NotMeasured,
    /// The steps of this kind that were taken here.
    Measured { least_ms: u64, most_ms: u64, steps: usize },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Forecast {
    pub switch: Switch,
    pub gap: Gap,
}

/// What a step to this deployment will be like.
pub fn forecast(row: &Row, wanted: &Deployment) -> Forecast {
    let switch = way(row.current.as_ref(), wanted);
    let measured = || row.measured.iter().filter(|it| it.switch == switch).map(|it| it.gap);
    let gap = match (switch, &row.current) {
        (_, None) | (Switch::Reload | Switch::BlueGreen, _) => Gap::None,
        (Switch::Restart | Switch::Socket, Some(_)) => match (measured().min(), measured().max()) {
            (Some(least), Some(most)) => Gap::Measured {
                least_ms: millis(least),
                most_ms: millis(most),
                steps: measured().count(),
            },
            (None, _) | (_, None) => Gap::NotMeasured,
        },
    };
    Forecast { switch, gap }
}

pub(super) fn millis(it: Duration) -> u64 {
    u64::try_from(it.as_millis()).unwrap_or(u64::MAX)
}

impl fmt::Display for Forecast {
    /// `restart: away for 0.4 to 0.9 s (as measured here in 3 steps)`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = self.switch.word();
        match (self.gap, self.switch) {
            (Gap::None, _) => write!(f, "{word}: no user sees a gap"),
            (Gap::NotMeasured, Switch::Socket) => {
                write!(f, "{word}: new connections wait; for how long is not measured yet")
            }
            (Gap::NotMeasured, Switch::Restart | Switch::Reload | Switch::BlueGreen) => {
                write!(f, "{word}: away for a time that is not measured yet")
            }
            (Gap::Measured { least_ms, most_ms, steps }, switch) => {
                let what = match switch {
                    Switch::Socket => "new connections wait",
                    Switch::Restart | Switch::Reload | Switch::BlueGreen => "away",
                };
                let steps = if steps == 1 { "1 step".to_owned() } else { format!("{steps} steps") };
                let (least, most) = (seconds(least_ms), seconds(most_ms));
                if least == most {
                    write!(f, "{word}: {what} for {most} s (measured here in {steps})")
                } else {
                    write!(f, "{word}: {what} for {least} to {most} s (measured here in {steps})")
                }
            }
        }
    }
}

/// With one digit behind the point, and never less than 0.1.
fn seconds(ms: u64) -> String {
    let tenths = ms.div_ceil(100).max(1);
    format!("{}.{}", tenths / 10, tenths % 10)
}
