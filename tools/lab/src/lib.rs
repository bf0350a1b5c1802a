//! The latency lab: scenarios, what they run on, what is measured, and what is left of it.
//!
//! The way of the data: a [`scenario`] says who sends what to whom over which links; a [`target`] carries it, once a
//! repeat; a [`measure::Recorder`] takes each message against the moment at which it was meant to leave; a [`record`]
//! keeps all of it, and everything that is shown is made of the record alone.

pub mod agent;
pub mod card;
pub mod card_port;
pub mod compare;
pub mod confirm;
pub mod hops;
pub mod host;
pub mod kernel;
pub mod load;
pub mod machine;
pub mod measure;
pub mod noise;
pub mod program;
pub mod record;
pub mod replay;
pub mod report;
pub mod run;
pub mod scenario;
pub mod sockperf;
pub mod stats;
pub mod target;
