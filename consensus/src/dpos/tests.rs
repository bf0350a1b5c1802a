//! The rules one by one, with the traces that break their alternatives (`rules`, `intake`, `producing`), and whole worlds of engines on virtual
//! time (`runs`).

mod changes;
mod intake;
pub(super) mod kit;
mod producing;
mod rules;
mod runs;
mod world;
