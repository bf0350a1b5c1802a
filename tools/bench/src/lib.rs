//! Benches: the card against the kernel, the same work for both, in one run and on one thread each.
//!
//! A [`target::Target`] does the work, the [`runner`] interleaves the repeats of all targets and takes medians, the
//! [`report`] prints them. The [`kernel`] holds the comparisons that the card has to beat. [`sessions`] puts them into
//! one run with a [`verdict`] on each figure that was asked for, [`scale`] lets the sessions grow, [`reconnect`] measures
//! a storm of reconnects. Nothing here leaves the machine: every kernel session runs over 127.0.0.1.

pub mod card;
pub mod conditions;
pub mod kernel;
pub mod memory;
pub mod page;
pub mod reconnect;
pub mod report;
pub mod runner;
pub mod scale;
pub mod sessions;
pub mod sys;
pub mod target;
pub mod verdict;
