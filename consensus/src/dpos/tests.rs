//! What DPOS alone has: elections, changes of the producers, its fork choice, what a chain says of its own finality. The
//! rest it shares with all engines: the conformance suite holds it to it.

mod changes;
mod light;
mod producing;
mod proof;
mod rules;

use super::Dpos;
use crate::conformance::kit::{self, SLOT_MS, genesis};
use crate::conformance::world;

type Kit = kit::Kit<Dpos>;
type World = world::World<Dpos>;
