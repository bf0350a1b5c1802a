//! Benches: the card against the kernel, the same work for both, in one run and on one thread each.
//!
//! A [`target::Target`] does the work, the [`runner`] interleaves the repeats of all targets and takes medians, the
//! [`report`] prints them. The [`kernel`] holds the comparisons that the card has to beat. [`sessions`] puts them into
//! one run with a [`verdict`] on each figure that was asked for, [`scale`] lets the sessions grow, [`reconnect`] measures
//! a storm of reconnects, [`flood`] a flood of SYNs, [`churn`] opens and closes sessions until growth would show.
//! [`ports`] measures every port that can be opened, bare and under TCP, [`loss`] the card as a sender where frames are
//! lost, [`sync`] a node that catches up with a chain, [`ledger`] transfers executed and committed, [`accounts`] the
//! same as accounts grow. Nothing here leaves the machine: kernel sessions run over 127.0.0.1 or in network namespaces of the run's own.

pub mod accounts;
pub mod card;
pub mod churn;
pub mod flood;
pub mod kernel;
pub mod ledger;
pub mod loss;
pub mod memory;
pub mod page;
pub mod ports;
pub mod reconnect;
pub mod report;
pub mod runner;
pub mod scale;
pub mod sessions;
pub mod sync;
pub mod target;
pub mod verdict;
