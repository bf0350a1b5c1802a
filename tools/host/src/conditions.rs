//! What else a reader must know of a run: whether the machine was busy with others, whether the build was meant to be
//! fast.

use std::fs;

/// Read before a run, because the run itself is load.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Conditions {
    load_average: Option<String>,
    stolen_ms: Option<u64>,
}

impl Conditions {
    /// Now.
    pub fn read() -> Self {
        Self {
            load_average: fs::read_to_string("/proc/loadavg").ok().and_then(|text| one_minute(&text)),
            stolen_ms: stolen(),
        }
    }

    /// Lines for the report of a run that ends now.
    pub fn notes(&self) -> Vec<String> {
        self.lines(stolen())
    }

    fn lines(&self, stolen_ms_now: Option<u64>) -> Vec<String> {
        let stolen = self.stolen_ms.zip(stolen_ms_now).map(|(then_ms, now_ms)| now_ms.saturating_sub(then_ms));
        let stolen = stolen.filter(|ms| *ms > 0).map(|ms| {
            format!("the host ran others on this machine's cores for {ms} ms of the run; CPU times may hold some of it")
        });
        let load =
            self.load_average.as_ref().map(|load| format!("load average of the last minute at the start: {load}"));
        let slow = cfg!(debug_assertions).then(|| "built without optimisation: figures mean nothing".to_owned());
        load.into_iter().chain(stolen).chain(slow).collect()
    }
}

/// Milliseconds that the host of a virtual machine gave to others since it started; `None` where nobody counts them.
pub fn stolen() -> Option<u64> {
    fs::read_to_string("/proc/stat").ok().and_then(|text| stolen_ms(&text))
}

/// The eighth figure of the first line, in hundredths of a second (proc(5)).
fn stolen_ms(stat: &str) -> Option<u64> {
    let line = stat.lines().find(|line| line.starts_with("cpu "))?;
    line.split_whitespace().nth(8)?.parse::<u64>().ok().map(|hundredths| hundredths * 10)
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
    fn the_host_s_share_is_read() {
        assert_eq!(stolen_ms("cpu  309435 5657 133799 430377 34492 0 25003 463 0 0\ncpu0 1\n"), Some(4_630));
        assert_eq!(stolen_ms("cpu  1 2\n"), None);
    }

    #[test]
    fn what_is_not_known_is_not_said() {
        let conditions = |load: Option<&str>| Conditions { load_average: load.map(str::to_owned), stolen_ms: Some(20) };
        let notes = |load| conditions(load).lines(Some(20)).join("; ");
        assert!(notes(Some("0.10")).contains("at the start: 0.10"));
        assert!(!notes(None).contains("load average") && !notes(None).contains("the host"));
        assert!(conditions(None).lines(Some(50))[0].contains("for 30 ms"));
        assert!(!conditions(None).lines(None).join("; ").contains("the host"));
        assert_eq!(notes(None).contains("without optimisation"), cfg!(debug_assertions));
    }
}
