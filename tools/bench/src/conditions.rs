//! What else a reader must know of a run: whether the machine was busy, whether the build was meant to be fast.

use std::fs;

/// Read before a run, because the run itself is load.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Conditions {
    load_average: Option<String>,
}

impl Conditions {
    /// Now.
    pub fn read() -> Self {
        Self { load_average: fs::read_to_string("/proc/loadavg").ok().and_then(|text| one_minute(&text)) }
    }

    /// Lines for the report.
    pub fn notes(&self) -> Vec<String> {
        let load =
            self.load_average.as_ref().map(|load| format!("load average of the last minute at the start: {load}"));
        let slow = cfg!(debug_assertions).then(|| "built without optimisation: figures mean nothing".to_owned());
        load.into_iter().chain(slow).collect()
    }
}

fn one_minute(loadavg: &str) -> Option<String> {
    loadavg.split_whitespace().next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_figure_is_that_of_the_last_minute() {
        assert_eq!(one_minute("3.04 3.99 3.77 3/186 1298\n").as_deref(), Some("3.04"));
        assert_eq!(one_minute(""), None);
    }

    #[test]
    fn what_is_not_known_is_not_said() {
        let notes = |load: Option<&str>| Conditions { load_average: load.map(str::to_owned) }.notes().join("; ");
        assert!(notes(Some("0.10")).contains("at the start: 0.10"));
        assert!(!notes(None).contains("load average"));
        assert_eq!(notes(None).contains("without optimisation"), cfg!(debug_assertions));
    }
}
