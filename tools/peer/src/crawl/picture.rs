//! The network as a picture: nodes on a circle, sessions between them, coloured by their round trips. An SVG that needs
//! nothing beside it.

use core::fmt::{self, Write};
use std::f64::consts::TAU;

use hpb_chart::{escaped, rounded};

use super::network::{Network, Node, NodeState};
use crate::sessions::micros;

const SIZE: f64 = 760.0;
const HEAD: f64 = 64.0;
const RADIUS: f64 = 270.0;
/// Sessions up to which each has its round trip written on it.
const LABELS_MAX: usize = 28;
/// Where on its line each stands, in turn: off the middle, where most lines cross.
const LABEL_SHARES: [f64; 5] = [0.36, 0.62, 0.27, 0.7, 0.42];
/// From the quickest fifth of the sessions to the slowest.
const CLASSES: usize = 5;
const STYLE: &str = "text{font:13px system-ui,sans-serif;fill:#1b1f24}.quiet{fill:#5c6570;font-size:12px}\
    .title{font-size:18px;font-weight:600}.paper{fill:#fff}.node{fill:#fff;stroke:#1b1f24;stroke-width:1.6}\
    .silent{stroke-dasharray:4 3;stroke:#9a6700}.label{font-size:11px;paint-order:stroke;stroke:#fff;stroke-width:4px}\
    .e0{stroke:#1a7f64}.e1{stroke:#4d9e48}.e2{stroke:#b08800}.e3{stroke:#c4601d}.e4{stroke:#b3261e}.en{stroke:#9aa4af}\
    line{stroke-width:1.8;fill:none}.half{stroke-dasharray:6 4}\
    @media (prefers-color-scheme:dark){text{fill:#e6e9ec}.quiet{fill:#9aa4af}.paper{fill:#14171a}\
    .node{fill:#14171a;stroke:#e6e9ec}.label{stroke:#14171a}}";

/// The picture of what a walk found.
pub fn picture(network: &Network) -> String {
    let mut svg = String::new();
    // Writing to a string does not fail.
    let _ = write(&mut svg, network);
    svg
}

fn write(out: &mut String, network: &Network) -> fmt::Result {
    let height = SIZE + HEAD + 40.0;
    writeln!(
        out,
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {SIZE} {height}" role="img" aria-label="The network">"#
    )?;
    writeln!(out, "<style>{STYLE}</style>\n<rect class=\"paper\" width=\"{SIZE}\" height=\"{height}\"/>")?;
    let count = network.nodes.len();
    writeln!(out, r#"<text class="title" x="20" y="30">{count} nodes, {} sessions</text>"#, network.edges.len())?;
    let bounds = bounds(network);
    write_legend(out, &bounds)?;
    for edge in &network.edges {
        let (from, to) = (place(edge.a, count), place(edge.b, count));
        let told = edge.round_trip_us();
        let class = told.map_or("en".to_owned(), |us| format!("e{}", class(&bounds, us)));
        let half = if edge.a_round_trip_us.is_none() || edge.b_round_trip_us.is_none() { " half" } else { "" };
        let title =
            format!("{} – {}: {}", network.name(edge.a), network.name(edge.b), told.map_or("?".to_owned(), text));
        writeln!(
            out,
            r#"<line class="{class}{half}" x1="{}" y1="{}" x2="{}" y2="{}"><title>{}</title></line>"#,
            from.0,
            from.1,
            to.0,
            to.1,
            escaped(&title)
        )?;
    }
    write_labels(out, network)?;
    for (at, node) in network.nodes.iter().enumerate() {
        write_node(out, network.name(at), node, place(at, count))?;
    }
    writeln!(out, "</svg>")
}

/// Round trips on their sessions, above all lines, where they are few enough to be read.
fn write_labels(out: &mut String, network: &Network) -> fmt::Result {
    if network.edges.len() > LABELS_MAX {
        return Ok(());
    }
    let told = network.edges.iter().filter_map(|edge| Some((edge, edge.round_trip_us()?)));
    for ((edge, us), share) in told.zip(LABEL_SHARES.into_iter().cycle()) {
        let (from, to) = (place(edge.a, network.nodes.len()), place(edge.b, network.nodes.len()));
        let (x, y) = (rounded(from.0 + (to.0 - from.0) * share), rounded(from.1 + (to.1 - from.1) * share));
        writeln!(out, r#"<text class="label" x="{x}" y="{y}" dy="4" text-anchor="middle">{}</text>"#, text(us))?;
    }
    Ok(())
}

fn text(us: u32) -> String {
    micros(us.into())
}

fn write_node(out: &mut String, name: &str, node: &Node, (x, y): (f64, f64)) -> fmt::Result {
    let class = if node.state == NodeState::Answered { "node" } else { "node silent" };
    writeln!(out, r#"<circle class="{class}" cx="{x}" cy="{y}" r="9"><title>{}</title></circle>"#, escaped(&node.key))?;
    let is_left = x < SIZE / 2.0 - 1.0;
    let (label_x, anchor) = if is_left { (x - 15.0, "end") } else { (x + 15.0, "start") };
    let below = if y > HEAD + SIZE / 2.0 { 24.0 } else { -32.0 };
    // At the top and the foot of the circle a name beside its node would lie on a line.
    let (label_x, label_y, anchor) =
        if (x - SIZE / 2.0).abs() < 40.0 { (x, y + below, "middle") } else { (label_x, y + 1.0, anchor) };
    writeln!(out, r#"<text x="{label_x}" y="{label_y}" text-anchor="{anchor}">{}</text>"#, escaped(name))?;
    let about = node.reason.as_deref().or(node.address.as_deref()).unwrap_or("");
    let about: String = about.chars().take(24).collect();
    writeln!(
        out,
        r#"<text class="quiet" x="{label_x}" y="{}" text-anchor="{anchor}">{}</text>"#,
        rounded(label_y + 15.0),
        escaped(&about)
    )
}

/// Where a node stands, the first one at the top.
#[allow(clippy::cast_precision_loss, reason = "places of a few nodes")]
fn place(at: usize, count: usize) -> (f64, f64) {
    let angle = TAU * at as f64 / count.max(1) as f64;
    let (x, y) = (SIZE / 2.0 + RADIUS * angle.sin(), HEAD + SIZE / 2.0 - RADIUS * angle.cos());
    (rounded(x), rounded(y))
}

/// The longest round trip of each class, in microseconds.
fn bounds(network: &Network) -> Vec<u32> {
    let mut all: Vec<u32> = network.edges.iter().filter_map(super::network::Edge::round_trip_us).collect();
    all.sort_unstable();
    let mut bounds: Vec<u32> =
        (1..=CLASSES).filter_map(|class| all.get((all.len() * class / CLASSES).checked_sub(1)?).copied()).collect();
    bounds.dedup();
    bounds
}

fn class(bounds: &[u32], us: u32) -> usize {
    let class = bounds.partition_point(|bound| *bound < us);
    // Few classes are spread over all colours.
    if bounds.len() < 2 { 0 } else { class.min(bounds.len() - 1) * (CLASSES - 1) / (bounds.len() - 1) }
}

#[allow(clippy::cast_precision_loss, reason = "places of a few entries")]
fn write_legend(out: &mut String, bounds: &[u32]) -> fmt::Result {
    for (at, bound) in bounds.iter().enumerate() {
        let x = 20.0 + 130.0 * at as f64;
        let class = class(bounds, *bound);
        writeln!(out, r#"<line class="e{class}" x1="{x}" x2="{}" y1="52" y2="52"/>"#, x + 24.0)?;
        writeln!(out, r#"<text class="quiet" x="{}" y="56">up to {}</text>"#, x + 30.0, text(*bound))?;
    }
    Ok(())
}
