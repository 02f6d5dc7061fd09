//! Medians and the table.

use std::fmt;

use serde_json::Value;

/// Which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Better {
    /// Throughput.
    Higher,
    /// Latency, memory.
    Lower,
}

/// One thing measured on both sides, once per round.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) unit: &'static str,
    pub(super) better: Better,
    /// Ratio that ours must reach; `None` = shown for information.
    pub(super) required: Option<f64>,
    pub(super) ours: Vec<f64>,
    pub(super) peer: Vec<f64>,
}

impl Row {
    /// A row without samples.
    pub(super) fn new(name: &'static str, unit: &'static str, better: Better, required: Option<f64>) -> Self {
        Self { name, unit, better, required, ours: Vec::new(), peer: Vec::new() }
    }

    /// Adds what one round measured; anything but a number counts as not measured.
    pub(super) fn push(&mut self, ours: &Value, peer: &Value) {
        self.ours.push(ours.as_f64().unwrap_or(f64::NAN));
        self.peer.push(peer.as_f64().unwrap_or(f64::NAN));
    }

    /// How much better ours is; above 1 is better whichever way the unit goes.
    fn ratio(&self) -> f64 {
        let (ours, peer) = (median(&self.ours), median(&self.peer));
        match self.better {
            Better::Higher => ours / peer,
            Better::Lower => peer / ours,
        }
    }
}

/// All rows, shown as Markdown.
#[derive(Debug, Default)]
pub(super) struct Table(pub(super) Vec<Row>);

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| measured | unit | ours | peer | ratio (above 1 = ours better) | wanted |")?;
        writeln!(f, "|---|---|---:|---:|---:|---|")?;
        for row in self.0.iter().filter(|row| !row.ours.is_empty() && !row.peer.is_empty()) {
            let ratio = row.ratio();
            let wanted = match row.required {
                None => "shown".to_owned(),
                Some(required) if ratio >= required => format!("{required}: reached"),
                Some(required) => format!("{required}: missed"),
            };
            let (ours, peer) = (Figure(median(&row.ours)), Figure(median(&row.peer)));
            writeln!(f, "| {} | {} | {ours} | {peer} | {ratio:.2} | {wanted} |", row.name, row.unit)?;
        }
        Ok(())
    }
}

/// A number with three digits that matter and separated thousands.
struct Figure(f64);

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.abs() < 100.0 {
            return write!(f, "{:.2}", self.0);
        }
        let digits = format!("{:.0}", self.0);
        let mut text = String::new();
        for (index, digit) in digits.char_indices() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                text.push(',');
            }
            text.push(digit);
        }
        f.write_str(&text)
    }
}

fn median(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => sorted[odd / 2],
        even => f64::midpoint(sorted[even / 2 - 1], sorted[even / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::{Better, Figure, Row, Table, median};

    #[test]
    fn medians_ignore_the_order_and_the_extremes() {
        assert_eq!(median(&[9.0, 1.0, 5.0]), 5.0);
        assert_eq!(median(&[1.0, 100.0, 3.0, 2.0]), 2.5);
    }

    #[test]
    fn lower_is_better_turns_the_ratio() {
        let mut row = Row::new("p99", "us", Better::Lower, Some(1.0));
        row.ours.push(50.0);
        row.peer.push(100.0);
        assert_eq!(row.ratio(), 2.0);
        assert!(Table(vec![row]).to_string().contains("| 2.00 | 1: reached |"));
    }

    #[test]
    fn figures_separate_thousands() {
        assert_eq!(Figure(1_234_567.0).to_string(), "1,234,567");
        assert_eq!(Figure(999.4).to_string(), "999");
        assert_eq!(Figure(2.346).to_string(), "2.35");
    }
}
