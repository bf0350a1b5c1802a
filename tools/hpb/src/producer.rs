//! `hpb producer`: a chain's producers as a devnet has left them.

use hpb_devnet::producers::{Producers, read};
use hpb_devnet::run::DevnetError;

use crate::bench::print;
use crate::command_line::{ChainSource, Producer};
use crate::failure::Failure;

pub(crate) fn run(what: Producer) -> Result<(), Failure> {
    match what {
        Producer::List(source) => {
            let producers = found(&source)?;
            if source.json { print_json(&producers) } else { print(&producers.table()) }
        }
        Producer::Show { name, source } => {
            let producers = found(&source)?;
            let Some(row) = producers.named(&name) else {
                let names: Vec<&str> = producers.producers.iter().map(|row| row.name.as_str()).collect();
                let names = names.join(", ");
                return Err(Failure::input(format_args!("there is no producer `{name}`: the producers are {names}")));
            };
            if source.json { print_json(row) } else { print(&producers.detail(row)) }
        }
    }
}

fn found(source: &ChainSource) -> Result<Producers, Failure> {
    read(&source.data, source.validator).map_err(|error: DevnetError| Failure::input(error))
}

pub(crate) fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    print(&(serde_json::to_string_pretty(value).map_err(Failure::work)? + "\n"))
}
