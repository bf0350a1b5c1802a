//! What an item found, with what would mend it. A finding is data: making one changes nothing.

use serde::Serialize;

use crate::setting::Setting;

/// How a finding is to be taken.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Debug)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// It is as it should be.
    Ok,
    /// It should be mended.
    Fix,
    /// It is worth knowing, and a choice.
    Note,
}

/// A value that a setting should have.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
pub struct Change {
    /// What has it.
    #[serde(flatten)]
    pub setting: Setting,
    /// The value.
    pub value: Option<String>,
}

impl Change {
    /// A change of `setting` to `value`.
    pub fn new(setting: Setting, value: impl Into<String>) -> Self {
        Self { setting, value: Some(value.into()) }
    }
}

/// What is, what should be, and why.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
pub struct Finding {
    /// The item's name.
    pub item: &'static str,
    /// What it was found at: an interface, cores; empty for the host as a whole.
    pub subject: String,
    /// How to take it.
    pub level: Level,
    /// What is.
    pub is: String,
    /// What should be; empty if it is so.
    pub should: String,
    /// Why it matters; empty if all is well.
    pub why: &'static str,
    /// Shell commands that mend it.
    pub commands: Vec<String>,
    /// What `apply` would change; empty if that takes more than a change at run time.
    pub changes: Vec<Change>,
}

impl Finding {
    /// All is well.
    pub fn ok(item: &'static str, subject: impl Into<String>, is: impl Into<String>) -> Self {
        Self {
            item,
            subject: subject.into(),
            level: Level::Ok,
            is: is.into(),
            should: String::new(),
            why: "",
            commands: Vec::new(),
            changes: Vec::new(),
        }
    }

    /// This finding as one to mend.
    #[must_use]
    pub fn fix(self, should: impl Into<String>, why: &'static str) -> Self {
        Self { level: Level::Fix, should: should.into(), why, ..self }
    }

    /// This finding as one to know of.
    #[must_use]
    pub fn note(self, should: impl Into<String>, why: &'static str) -> Self {
        Self { level: Level::Note, should: should.into(), why, ..self }
    }

    /// With a command that mends it.
    #[must_use]
    pub fn command(mut self, command: impl Into<String>) -> Self {
        self.commands.push(command.into());
        self
    }

    /// With the changes that mend it, and their commands.
    #[must_use]
    pub fn changes(mut self, changes: Vec<Change>) -> Self {
        let values = changes.iter().map(|change| (&change.setting, change.value.as_deref()));
        self.commands.extend(Setting::commands(values));
        self.changes = changes;
        self
    }
}
