//! The chain's rules of confirms, finality and changes of the producers (PROTOCOL.md) as a small model that a checker
//! explores whole. It shares no code with the engine: it states the rules once more, so that a mistake must be made twice.
//!
//! # What is modelled
//!
//! There is no network and no clock. A state is what each slice carries and the set of links source -> target that each
//! honest producer has signed, both of which only grow; a step creates one slice or adds one confirm that the rules allow
//! ([`model`]). What a node has seen is a part of the state, and more of it makes no less final, so that two nodes who
//! hold conflicting slices for final are a state with both.
//!
//! - **The tree** is given: two chains from one root that part somewhere, in the largest trees two slots of three slices
//!   each ([`tree`]). Producers may equivocate at every height.
//! - **What a slice carries** is any certificate of its chain that exists when it is created, not lower than its
//!   parent's: an honest producer would choose the highest one that it knows, and it need not know any.
//! - **Producers**: two sets of four, one of each Byzantine, which has signed everything ([`producers`]). The first slot
//!   belongs to the old set's epoch, the others to the new one's. What fixes the new schedule is the root, or the first
//!   slice, and then the schedule changes only on chains that prove that slice final before the boundary.
//! - **Honest producers** confirm what they are asked for and may leave out any slice at any time, since skipping is no
//!   fault: being late, cut off or down is all the same here.
//!
//! It leaves out fork choice, lateness and executing, which only decide which of the allowed steps are taken, and it does
//! not know producers that have lost their watermark. It has one change of the producers, two chains and at most six
//! heights in use: what needs more than that is not proven.
//!
//! # What is left out of the exploration, and why nothing is lost
//!
//! State by state there would be far too many: three producers who confirm one of two slices, or none, at six heights can
//! do so in 3^18 ways, and there are up to six producers and what slices carry. Three reductions leave less than half a
//! million classes of any tree.
//!
//! - **Order by height** ([`model::Order::ByHeight`]). Take any run and sort its steps by the height of the slice that is
//!   created or confirmed, creation first. A producer's own confirms rise, so their order stays and so does what its
//!   rule says of each; a slice's ancestors and all confirms of what it carries are lower than it, so they come before
//!   it. So the sorted run is allowed, and what it ends in is justified and final as before. Slices that the run does
//!   without may be created all the same, since nobody has to confirm them. What is true of every state that sorted runs
//!   reach is therefore true of every state. (That a step undoes nothing is said of steps. Here it is checked of the steps of sorted runs,
//!   and in every order on smaller trees.)
//! - **Symmetry.** Honest producers of the same sets have the same rules, and nothing depends on their names.
//! - **Classes** ([`class`]). Once a height is over, all that its confirms do is to justify, and to bind those who signed
//!   them by their last source; once a certificate can no longer be a source or part of a proof, it is of no account
//!   whether it is there.
//!
//! The tests do not take this on trust: smaller trees are explored in every order and state by state, and come to the
//! same certificates and finals; and all states of one class turn out to have the same future.
//!
//! # What comes out
//!
//! With the rules of the protocol no reachable state has two conflicting finals, and no step undoes one; and slices do
//! become final, on either chain, in either epoch, by both sets and by the new one alone. The alternatives that these
//! rules were chosen against are switches ([`rules`]), and for each the checker finds two conflicting finals, a final that
//! is undone or, for two of them, that nothing ever becomes final.
//!
//! The checker is [stateright](https://docs.rs/stateright), of which only the tests know. `cargo test -p hpb-model` runs
//! everything; `cargo test -p hpb-model protocol` the exploration of the protocol's rules.

pub mod class;
pub mod model;
pub mod producers;
pub mod rules;
pub mod slice;
pub mod tree;
