//! The agents of a run over several hosts, and how well their clocks are known.

use core::fmt::{self, Write};

use hpb_chart::format::nanos;

use super::figures::plain;
use crate::record::{AgentRecord, ClockFound};

/// What stands below the table.
pub(super) const MEANING: &str = "A clock is told against the server's: its offset in the middle of the last repeat, how \
    much faster it runs, and how far both may be wrong in the worst repeat, which is at least half the shortest round \
    trip. Planted: what was added to a clock on purpose, to be found.";

/// A signed time as people read it.
#[allow(clippy::cast_precision_loss, reason = "figures for people")]
pub(super) fn signed(ns: i64) -> String {
    let size = nanos(ns.unsigned_abs() as f64);
    if ns < 0 { format!("-{size}") } else { format!("+{size}") }
}

/// Parts per thousand million as parts per million.
#[allow(clippy::cast_precision_loss, reason = "figures for people")]
fn ppm(ppb: i64) -> String {
    format!("{:+.2} ppm", ppb as f64 / 1e3)
}

/// The cells of an agent's row: offset, drift, error, what was planted.
#[allow(clippy::cast_precision_loss, reason = "figures for people")]
pub(super) fn cells(agent: &AgentRecord) -> [String; 4] {
    let planted = match (agent.planted_offset_ns, agent.planted_drift_ppb) {
        (0, 0) => String::new(),
        (offset, drift) => format!("{} {}", signed(offset), ppm(drift)),
    };
    let Some(ClockFound { offset_ns, drift_ppb, .. }) = agent.clocks.last() else {
        return [String::new(), String::new(), String::new(), planted];
    };
    let error = agent.clocks.iter().map(|clock| clock.error_ns).max().unwrap_or_default();
    [signed(*offset_ns), ppm(*drift_ppb), format!("± {}", nanos(error as f64)), planted]
}

/// All agents on a terminal.
pub(super) fn write_terminal(out: &mut String, agents: &[AgentRecord], dim: impl Fn(&str) -> String) -> fmt::Result {
    if agents.is_empty() {
        return Ok(());
    }
    let row = |name: &str, role: &str, cells: [&str; 4]| {
        let [offset, drift, error, planted] = cells;
        format!("{name:<18}{role:<8}{offset:>13}{drift:>15}{error:>13}  {planted}").trim_end().to_owned()
    };
    writeln!(out, "\n{}", dim(&row("agents", "", ["clock", "runs fast by", "known to", "planted"])))?;
    for agent in agents {
        let [offset, drift, error, planted] = cells(agent);
        writeln!(out, "{}", row(&plain(&agent.name, 17), &plain(&agent.role, 7), [&offset, &drift, &error, &planted]))?;
    }
    for agent in agents {
        let place = format!("{}: {} · {}", plain(&agent.name, 17), plain(&agent.host, 40), plain(&agent.machine, 36));
        writeln!(out, "{}\n{}", dim(&place), dim(&format!("  its clock: {}", plain(&agent.discipline, 86))))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::sample;

    #[test]
    fn what_was_planted_stands_beside_what_was_found() {
        let record = sample::record();
        let mut text = String::new();
        let _ = write_terminal(&mut text, &record.agents, str::to_owned);
        let row = text.lines().find(|line| line.starts_with("south ")).unwrap_or_default();
        for word in ["client", "-39.8 ms", "+50.01 ppm", "± 23 µs", "-40 ms +50.00 ppm"] {
            assert!(row.contains(word), "{word}: {row}");
        }
        assert_eq!(cells(&record.agents[0])[..3], ["", "", ""].map(str::to_owned));
        assert!(text.contains("no chrony"));
    }
}
