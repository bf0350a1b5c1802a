//! What keeps this host's clock right, as that says itself: chrony by its own program, PTP by the clocks that the kernel
//! has. It is told beside what was measured and enters no figure.

use std::fs;
use std::process::{Command, Stdio};

/// In words for people.
pub(super) fn read() -> String {
    let chrony = Command::new("chronyc").args(["-c", "tracking"]).stdin(Stdio::null()).stderr(Stdio::null()).output();
    let chrony = chrony.ok().filter(|told| told.status.success());
    let chrony = chrony.and_then(|told| chrony_text(&String::from_utf8_lossy(&told.stdout)));
    let clocks = fs::read_dir("/sys/class/ptp").into_iter().flatten().flatten();
    let mut names: Vec<String> = clocks
        .filter_map(|clock| fs::read_to_string(clock.path().join("clock_name")).ok())
        .map(|name| name.trim().to_owned())
        .collect();
    names.sort();
    let ptp = (!names.is_empty()).then(|| format!("PTP clocks: {}", names.join(", ")));
    let told: Vec<String> = chrony.into_iter().chain(ptp).collect();
    if told.is_empty() { "none that is known (no chrony, no PTP clock)".to_owned() } else { told.join("; ") }
}

/// `chronyc -c tracking` in words: its fields are a reference, its name, the stratum, the reference's time, the
/// system's offset, the last and the mean offset, frequency, residual frequency and skew in ppm, root delay and
/// dispersion, the interval, and the leap status (chronyc(1), TRACKING). Of an unsynchronised one the reference is zero.
fn chrony_text(line: &str) -> Option<String> {
    let fields: Vec<&str> = line.trim().split(',').collect();
    let [reference, name, stratum, _, system, _, mean, _, _, skew, delay, dispersion, _, leap] = fields[..] else {
        return None;
    };
    if leap.contains("Not") || reference.chars().all(|digit| digit == '0') {
        return Some("chrony runs, and is not synchronised".to_owned());
    }
    let number = |text: &str| text.parse::<f64>().ok();
    let (system, mean, skew) = (number(system)?, number(mean)?, number(skew)?);
    let reach = number(delay)? / 2.0 + number(dispersion)?;
    let name: String = name.chars().filter(|one| !one.is_control()).take(60).collect();
    let stratum: u8 = stratum.parse().ok()?;
    Some(format!(
        "chrony, stratum {stratum}, from {name}: off by {:.1} us now, {:.1} us in the mean, skew {skew} ppm, at most \
         {:.1} us from its source's root",
        system * 1e6,
        mean * 1e6,
        reach * 1e6
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chrony_s_line_in_words() {
        let line = "A29FC87B,time.example,3,1762300000.123,0.000012345,-0.000002000,0.000030000,-1.234,0.001,0.045,\
                    0.012000000,0.000500000,64.2,Normal\n";
        let text = chrony_text(line).unwrap_or_default();
        assert_eq!(
            text,
            "chrony, stratum 3, from time.example: off by 12.3 us now, 30.0 us in the mean, skew 0.045 ppm, at most \
             6500.0 us from its source's root"
        );
        let lost = "00000000,,0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,1.0,1.0,0.0,Not synchronised\n";
        assert_eq!(chrony_text(lost).as_deref(), Some("chrony runs, and is not synchronised"));
        for foreign in ["", "506 Cannot talk to daemon", "a,b,c", "1,n,x,0,0,0,0,0,0,0,0,0,0,Normal"] {
            assert_eq!(chrony_text(foreign), None, "{foreign}");
        }
    }
}
