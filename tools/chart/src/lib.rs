//! What every page of figures needs: axes with round ticks, labels that keep apart, numbers as people read them, the
//! style that pages share, and files that appear whole or not at all.
//!
//! Here nothing is drawn: the devnet's report and the lab's have pictures of their own.

#![allow(clippy::cast_precision_loss)] // figures for people: a double holds more digits than anyone reads

pub mod axis;
pub mod format;
pub mod report;

/// Text for an element or a quoted attribute of HTML or SVG.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// To a tenth of a pixel, which keeps a page small.
pub fn rounded(px: f64) -> f64 {
    (px * 10.0).round() / 10.0
}

/// Places of labels of the given sizes, as near to the wanted ones as they can be without touching or leaving the
/// range, in their order along it.
pub fn spread(wanted: &[f64], sizes: &[f64], low: f64, high: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|a, b| wanted[*a].total_cmp(&wanted[*b]));
    let mut places = wanted.to_vec();
    let mut edge = low;
    for place in &order {
        places[*place] = places[*place].max(edge + sizes[*place] / 2.0);
        edge = places[*place] + sizes[*place] / 2.0;
    }
    let mut edge = high;
    for place in order.iter().rev() {
        places[*place] = places[*place].min(edge - sizes[*place] / 2.0);
        edge = places[*place] - sizes[*place] / 2.0;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_keep_apart_and_inside() {
        let places = spread(&[50.0, 52.0, 0.0, 99.0], &[15.0; 4], 0.0, 100.0);
        assert_eq!(places, [50.0, 65.0, 7.5, 92.5]);
        let crowded = spread(&[90.0, 91.0, 92.0], &[20.0; 3], 0.0, 100.0);
        assert_eq!(crowded, [50.0, 70.0, 90.0]);
    }

    #[test]
    fn text_cannot_leave_its_element() {
        assert_eq!(escaped("<a href=\"x\">&"), "&lt;a href=&quot;x&quot;&gt;&amp;");
        assert_eq!(rounded(1.26).to_string(), "1.3");
    }
}
