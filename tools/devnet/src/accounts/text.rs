//! An account, and why keys may act for it, line by line. Plain text: no control character.

use std::fmt;
use std::fmt::Write as _;

use super::{AccountRow, AccountsRow, ExplainedRow, PartOf, PartRow, PolicyRow, WindowRow};
use crate::report::format::{counted, millis, tokens, utc};

const LABEL_WIDTH: usize = 10;

impl AccountsRow {
    /// A line an account.
    pub fn detail(&self) -> String {
        let mut text = String::new();
        for account in &self.accounts {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{:<32} {} tokens", account.name, tokens(account.balance));
        }
        let _ = match &self.next_after {
            Some(name) => writeln!(text, "more: --after {name}"),
            None => writeln!(text, "{}", counted(self.accounts.len() as u64, "account")),
        };
        text
    }
}

impl AccountRow {
    /// The account, a line for each of its facts.
    pub fn detail(&self) -> String {
        let mut lines = vec![
            ("account", self.name.clone()),
            ("balance", format!("{} tokens", tokens(self.balance))),
            ("staked", format!("{} tokens", tokens(self.staked))),
        ];
        for part in &self.vesting {
            lines.push(("vesting", format!("{} tokens from {} on", tokens(part.amount), utc(part.free_at_unix_ms))));
        }
        let deposit = &self.deposit;
        lines.push(("deposit", format!("{} tokens for {}", tokens(deposit.amount), counted(deposit.bytes, "byte"))));
        for permission in &self.permissions {
            let indent = "  ".repeat(permission.depth as usize);
            let parts: Vec<String> = permission.parts.iter().map(ToString::to_string).collect();
            let text = format!("{indent}{}: {} of {}", permission.name, permission.threshold, parts.join(" + "));
            lines.push(("permission", text));
        }
        for role in &self.roles {
            for policy in &role.policies {
                lines.push(("role", format!("{}: {policy}", role.name)));
            }
            for to in &role.granted_to {
                lines.push(("granted", format!("{} to {to}", role.name)));
            }
        }
        lines.push(("as of", format!("chain {}, slot {}, slice {}", self.chain, self.slot, self.index)));
        let mut text = String::new();
        for (label, value) in lines {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{label:<LABEL_WIDTH$} {value}");
        }
        text
    }
}

impl ExplainedRow {
    /// The answer, then what was looked at, each under what it is a part of.
    pub fn detail(&self) -> String {
        let mut text = String::new();
        self.tell(&mut text, 0);
        text
    }

    fn tell(&self, text: &mut String, depth: usize) {
        let indent = "  ".repeat(depth);
        let answer = if self.is_satisfied { "satisfied" } else { "not satisfied" };
        // Writing to a string does not fail.
        let _ = writeln!(text, "{indent}{}: {answer}: {}", self.asked, self.why);
        for weighed in &self.weighed {
            let _ = writeln!(text, "{indent}  {}: {} of {}", weighed.permission, weighed.reached, weighed.threshold);
            for found in &weighed.parts {
                let mark = if found.counts { '+' } else { '-' };
                let _ = writeln!(text, "{indent}    {mark} {}: {}", found.part, found.why);
                if let Some(account) = &found.account {
                    account.tell(text, depth + 3);
                }
            }
        }
    }
}

impl fmt::Display for PartRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.part {
            PartOf::Key(key) => write!(f, "key {key}")?,
            PartOf::Account(account) => f.write_str(account)?,
            PartOf::WaitMs(ms) => write!(f, "a wait of {}", millis(*ms))?,
        }
        write!(f, " ({})", self.weight)
    }
}

impl fmt::Display for PolicyRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.action.as_deref().unwrap_or("every action"), self.contract)?;
        if !self.counterparties.is_empty() {
            write!(f, " to {}", self.counterparties.join(", "))?;
        }
        for (bound, of) in [(&self.per_transaction_max, "a transaction"), (&self.per_day_max, "a day")] {
            if let Some(amount) = bound.as_ref().and_then(|amount| amount.parse().ok()) {
                write!(f, ", at most {} tokens {of}", tokens(amount))?;
            }
        }
        if self.from_unix_ms > 0 {
            write!(f, ", from {} on", utc(self.from_unix_ms))?;
        }
        if let Some(until) = self.until_unix_ms {
            write!(f, ", until {}", utc(until))?;
        }
        let windows: Vec<String> = self.windows.iter().map(ToString::to_string).collect();
        if windows.is_empty() { Ok(()) } else { write!(f, ", {} UTC", windows.join(" and ")) }
    }
}

impl fmt::Display for WindowRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
        write!(f, "{} {}-{}", self.days.join(" "), time(self.from_minute), time(self.until_minute))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{DepositRow, FoundRow, PermissionRow, RoleRow, VestingRow, WeighedRow};
    use super::*;

    const ONE: u128 = 1_000_000_000_000_000_000;

    fn part(weight: u16, part: PartOf) -> PartRow {
        PartRow { weight, part }
    }

    #[test]
    fn an_account_is_told_line_by_line() {
        let policy = PolicyRow {
            contract: "token".to_owned(),
            action: Some("transfer".to_owned()),
            counterparties: vec!["bob".to_owned()],
            per_transaction_max: Some((5 * ONE).to_string()),
            per_day_max: None,
            from_unix_ms: 0,
            until_unix_ms: Some(1_767_225_600_000),
            windows: vec![WindowRow {
                days: vec!["mon".to_owned(), "fri".to_owned()],
                from_minute: 540,
                until_minute: 1_020,
            }],
        };
        let permission = |name: &str, parent: Option<&str>, depth, parts| PermissionRow {
            name: name.to_owned(),
            parent: parent.map(str::to_owned),
            depth,
            threshold: 2,
            parts,
        };
        let account = AccountRow {
            chain: "ab".to_owned(),
            slot: 7,
            index: 3,
            name: "alice".to_owned(),
            balance: 3 * ONE / 2,
            staked: 0,
            vesting: vec![VestingRow { free_at_unix_ms: 1_767_225_600_000, amount: ONE }],
            deposit: DepositRow { bytes: 1, amount: 0 },
            permissions: vec![
                permission("owner", None, 0, vec![part(2, PartOf::Key("8a".to_owned()))]),
                permission(
                    "active",
                    Some("owner"),
                    1,
                    vec![part(1, PartOf::Account("bob@active".to_owned())), part(1, PartOf::WaitMs(60_000))],
                ),
            ],
            roles: vec![RoleRow {
                name: "cashier".to_owned(),
                policies: vec![policy],
                granted_to: vec!["bob@active".to_owned()],
            }],
        };
        assert_eq!(
            account.detail(),
            "account    alice\n\
             balance    1.5 tokens\n\
             staked     0 tokens\n\
             vesting    1 tokens from 2026-01-01 00:00 UTC on\n\
             deposit    0 tokens for 1 byte\n\
             permission owner: 2 of key 8a (2)\n\
             permission   active: 2 of bob@active (1) + a wait of 60 s (1)\n\
             role       cashier: transfer of token to bob, at most 5 tokens a transaction, until 2026-01-01 00:00 UTC, mon fri 09:00-17:00 UTC\n\
             granted    cashier to bob@active\n\
             as of      chain ab, slot 7, slice 3\n"
        );
    }

    #[test]
    fn an_answer_is_told_with_what_it_rests_on() {
        let bob = ExplainedRow {
            asked: "bob@active".to_owned(),
            is_satisfied: true,
            why: "its own threshold is reached".to_owned(),
            weighed: Vec::new(),
        };
        let found = |counts, weight, what, why: &str, account: Option<ExplainedRow>| FoundRow {
            part: part(weight, what),
            counts,
            why: why.to_owned(),
            account: account.map(Box::new),
        };
        let answer = ExplainedRow {
            asked: "alice@active".to_owned(),
            is_satisfied: false,
            why: "neither it nor what stands above it is satisfied".to_owned(),
            weighed: vec![WeighedRow {
                permission: "active".to_owned(),
                threshold: 2,
                reached: 1,
                parts: vec![
                    found(false, 2, PartOf::Key("8a".to_owned()), "did not sign", None),
                    found(true, 1, PartOf::Account("bob@active".to_owned()), "satisfied", Some(bob)),
                ],
            }],
        };
        assert_eq!(
            answer.detail(),
            "alice@active: not satisfied: neither it nor what stands above it is satisfied\n\
             \x20 active: 1 of 2\n\
             \x20   - key 8a (2): did not sign\n\
             \x20   + bob@active (1): satisfied\n\
             \x20     bob@active: satisfied: its own threshold is reached\n"
        );
    }
}
