//! `hpb card regs|stats|inject`: mode registers and counters of a running card.

use hpb_types::message::diagnose::{Ask, CounterRow, RegisterRow, Tell, Text};

use crate::ask::{AskError, Asker};
use crate::sessions::aligned;

/// The mode registers of each lane.
///
/// # Errors
/// The first question that is not answered.
pub fn registers(asker: &mut dyn Asker) -> Result<Vec<Vec<RegisterRow>>, AskError> {
    let mut all = Vec::new();
    loop {
        let ask = Ask::Registers { lane: all.len() as u16 };
        let Tell::Registers(told) = asker.ask(ask)? else { return Err(AskError::Unexpected) };
        all.push(told.rows);
        if all.len() >= usize::from(told.lanes) {
            return Ok(all);
        }
    }
}

/// The counters of each lane.
///
/// # Errors
/// The first question that is not answered.
pub fn counters(asker: &mut dyn Asker) -> Result<Vec<Vec<CounterRow>>, AskError> {
    let mut all = Vec::new();
    loop {
        let ask = Ask::Counters { lane: all.len() as u16 };
        let Tell::Counters(told) = asker.ask(ask)? else { return Err(AskError::Unexpected) };
        all.push(told.rows);
        if all.len() >= usize::from(told.lanes) {
            return Ok(all);
        }
    }
}

/// Sets a mode register on every lane.
///
/// # Errors
/// The card refuses, or does not answer.
pub fn set(asker: &mut dyn Asker, name: &str, value: u32) -> Result<(), AskError> {
    match asker.ask(Ask::SetRegister { name: Text::new(name), value })? {
        Tell::Done => Ok(()),
        _ => Err(AskError::Unexpected),
    }
}

/// Registers as a table.
pub fn registers_text(lanes: &[Vec<RegisterRow>]) -> String {
    let mut cells = Vec::new();
    for (lane, rows) in lanes.iter().enumerate() {
        cells.extend(
            rows.iter()
                .map(|row| vec![lane.to_string(), row.name.0.clone(), row.value.to_string(), row.acted.to_string()]),
        );
    }
    let set = lanes.iter().flatten().filter(|row| row.value != 0).count();
    let note =
        if set == 0 { "No register is set: the card behaves." } else { "A register that is not 0 injects its fault." };
    format!("{}\n{note}\n", aligned(&["lane", "register", "value", "acted"], &cells))
}

/// Counters as a table: a column a lane.
pub fn counters_text(lanes: &[Vec<CounterRow>]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for row in lanes.iter().flatten() {
        if !names.contains(&row.name.0.as_str()) {
            names.push(&row.name.0);
        }
    }
    let heads: Vec<String> = (0..lanes.len()).map(|lane| format!("lane {lane}")).collect();
    let heads: Vec<&str> = std::iter::once("counter").chain(heads.iter().map(String::as_str)).collect();
    let value = |rows: &Vec<CounterRow>, name: &str| {
        rows.iter().find(|row| row.name.0 == name).map_or(0, |row| row.value).to_string()
    };
    let cells: Vec<Vec<String>> = names
        .into_iter()
        .map(|name| std::iter::once(name.to_owned()).chain(lanes.iter().map(|rows| value(rows, name))).collect())
        .collect();
    format!("{}\nSince the start, but `held`: that is what the lane holds now.\n", aligned(&heads, &cells))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_of_several_lanes_stand_beside_each_other() {
        let row = |name: &str, value| CounterRow { name: Text::new(name), value };
        let text = counters_text(&[vec![row("resets", 4)], vec![row("resets", 5), row("dropped: banned", 6)]]);
        assert!(text.contains("resets           4       5"), "{text}");
        assert!(text.contains("dropped: banned  0       6"), "{text}");
        let register = RegisterRow { name: Text::new("cfg_toe_mode_loop"), value: 1, acted: 9 };
        assert!(registers_text(&[vec![register]]).contains("injects its fault"));
    }
}
