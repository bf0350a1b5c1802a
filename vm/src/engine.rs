//! The trait behind which every virtual machine stands. An engine keeps nothing between calls: the outcome is a
//! function of the call and of what the host answers, so that it is the same on every node and in every order of
//! workers. It refuses by saying so in the outcome; it never panics on a contract's bytes.

use hpb_types::{AccountName, ActionName, RejectReason};

use crate::host::{Halt, Host};

/// One call of a contract.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// The contract's account.
    pub contract: AccountName,
    /// What is asked of it.
    pub action: ActionName,
    /// Its arguments: bytes that the contract defines.
    pub arguments: &'a [u8],
}

/// How a call ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum End {
    /// It took effect; what it returns is for its caller.
    Returned(Vec<u8>),
    /// The contract refused. What it wrote is to be rolled back by the caller.
    Refused(RejectReason),
    /// The host stopped it. What it wrote is to be rolled back by the caller.
    Halted(Halt),
}

/// How a call ended and what it cost.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CallOutcome {
    /// How it ended.
    pub end: End,
    /// What it charged to the host's meter, in execution units.
    pub units: u64,
}

/// A virtual machine, or a set of built-in contracts.
pub trait Engine {
    /// Runs the call to its end. Where the host answers with a [`Halt`] the engine stops at once and hands it on.
    fn run(&self, host: &mut dyn Host, call: &Call<'_>) -> End;

    /// [`run`](Engine::run) with the units that it took.
    fn call(&self, host: &mut dyn Host, call: &Call<'_>) -> CallOutcome {
        let before = host.units_left();
        let end = self.run(host, call);
        CallOutcome { end, units: before.saturating_sub(host.units_left()) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeMap;

    use hpb_base::UnixMillis;
    use hpb_types::PermissionName;

    use super::*;
    use crate::host::{Intent, Place, Table};
    use crate::meter::Meter;

    /// A host over a map that owns one table.
    struct MapHost {
        values: BTreeMap<Vec<u8>, Vec<u8>>,
        meter: Meter,
    }

    const OWNED: Table = Table(1);

    impl Host for MapHost {
        fn read(&mut self, place: Place<'_>) -> Result<Option<&[u8]>, Halt> {
            self.meter.charge(1)?;
            Ok(self.values.get(place.sub_key).map(Vec::as_slice))
        }
        fn write(&mut self, place: Place<'_>, value: &[u8]) -> Result<(), Halt> {
            self.meter.charge(1)?;
            if place.table != OWNED {
                return Err(Halt::Forbidden);
            }
            self.values.insert(place.sub_key.to_vec(), value.to_vec());
            Ok(())
        }
        fn remove(&mut self, place: Place<'_>) -> Result<(), Halt> {
            self.values.remove(place.sub_key);
            Ok(())
        }
        fn emit(&mut self, _: ActionName, _: Vec<u8>) -> Result<(), Halt> {
            Ok(())
        }
        fn is_authorised(&mut self, _: AccountName, _: PermissionName) -> Result<bool, Halt> {
            Ok(true)
        }
        fn is_permitted(&mut self, _: AccountName, _: &Intent) -> Result<bool, Halt> {
            Ok(true)
        }
        fn block_time(&self) -> UnixMillis {
            UnixMillis(0)
        }
        fn charge(&mut self, units: u64) -> Result<(), Halt> {
            self.meter.charge(units)
        }
        fn units_left(&self) -> u64 {
            self.meter.left()
        }
    }

    /// Counts its calls in the table that the first argument byte names.
    struct Counter;

    impl Counter {
        fn count(host: &mut dyn Host, call: &Call<'_>) -> Result<u8, Halt> {
            let place = Place { account: call.contract, table: Table(call.arguments[0]), sub_key: b"count" };
            let next = host.read(place)?.map_or(0, |value| value[0]) + 1;
            host.write(place, &[next])?;
            Ok(next)
        }
    }

    impl Engine for Counter {
        fn run(&self, host: &mut dyn Host, call: &Call<'_>) -> End {
            match Self::count(host, call) {
                Ok(3) => End::Refused(RejectReason::Duplicate),
                Ok(count) => End::Returned(vec![count]),
                Err(halt) => End::Halted(halt),
            }
        }
    }

    fn call(host: &mut MapHost, table: u8) -> CallOutcome {
        let arguments = [table];
        let call =
            Call { contract: "counter".parse().unwrap(), action: "count".parse().unwrap(), arguments: &arguments };
        Counter.call(host, &call)
    }

    #[test]
    fn the_outcome_is_data_with_its_units() {
        let mut host = MapHost { values: BTreeMap::new(), meter: Meter::new(9) };
        assert_eq!(call(&mut host, 1), CallOutcome { end: End::Returned(vec![1]), units: 2 });
        assert_eq!(call(&mut host, 2), CallOutcome { end: End::Halted(Halt::Forbidden), units: 2 });
        assert_eq!(call(&mut host, 1), CallOutcome { end: End::Returned(vec![2]), units: 2 });
        assert_eq!(call(&mut host, 1), CallOutcome { end: End::Refused(RejectReason::Duplicate), units: 2 });
        let last = call(&mut host, 1);
        assert_eq!(last.end, End::Halted(Halt::OutOfUnits));
        assert_eq!((last.units, host.units_left()), (1, 0), "what is left is spent, and no more");
    }
}
