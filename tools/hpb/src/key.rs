//! `hpb key`: key files.

use hpb_client::KeyFile;
use hpb_devnet::terminals::party_seed;
use serde::Serialize;

use crate::bench::print;
use crate::command_line::Key;
use crate::failure::Failure;
use crate::producer::print_json;

#[derive(Serialize)]
struct KeyRow {
    /// The public half, in hexadecimal digits.
    public: String,
    /// Where the key lies.
    file: String,
}

pub(crate) fn run(what: Key) -> Result<(), Failure> {
    let (key, file, json) = match what {
        Key::New { file, json } => {
            let key = KeyFile::draw().map_err(Failure::work)?;
            key.write(&file).map_err(Failure::input)?;
            (key, file, json)
        }
        Key::Show { file, json } => (KeyFile::read(&file).map_err(Failure::input)?, file, json),
        Key::Devnet { name, seed, file, json } => {
            let key = KeyFile::from_seed(party_seed(seed, &name));
            key.write(&file).map_err(Failure::input)?;
            (key, file, json)
        }
    };
    let row = KeyRow { public: key.public().to_hex(), file: file.display().to_string() };
    if json { print_json(&row) } else { print(&format!("{}\n", row.public)) }
}
