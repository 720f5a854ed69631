//! The table: one row for each figure, one column for each relay, and the budget beside them.
use std::time::Duration;

/// One measured figure.
#[derive(Clone, Debug)]
pub struct Figure {
    pub name: String,
    text: String,
    /// Upper bound that the project set itself, and whether it was kept.
    budget: Option<(f64, bool)>,
}

impl Figure {
    pub fn new(name: impl Into<String>, value: f64, digits: usize) -> Self {
        let name = name.into();
        Self { text: format!("{value:.digits$}"), budget: None, name }
    }

    /// A figure that must not be above `limit`.
    pub fn at_most(limit: f64, name: impl Into<String>, value: f64, digits: usize) -> Self {
        Self { budget: Some((limit, value <= limit)), ..Self::new(name, value, digits) }
    }

    /// Percentiles in milliseconds; the budget is for the median.
    pub fn spread(name: impl Into<String>, times: &[Duration], percents: &[usize], limit: Option<f64>) -> Self {
        let milliseconds = |percent| percentile(times, percent).as_secs_f64() * 1000.0;
        let text: Vec<String> = percents.iter().map(|percent| format!("{:.2}", milliseconds(*percent))).collect();
        let budget = limit.map(|limit| (limit, milliseconds(50) <= limit));
        Self { name: name.into(), text: text.join(" / "), budget }
    }
}

/// Nearest-rank percentile; 0 is the least, which other work on the machine disturbs least.
fn percentile(times: &[Duration], percent: usize) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

/// Figures of several relays; rows are those of the first that has them.
#[derive(Default)]
pub struct Table {
    columns: Vec<(String, Vec<Figure>)>,
}

impl Table {
    pub fn add(&mut self, relay: &str, figures: Vec<Figure>) {
        self.columns.push((relay.to_owned(), figures));
    }

    pub fn print(&self) {
        let mut names: Vec<&str> = Vec::new();
        for figure in self.columns.iter().flat_map(|(_, figures)| figures) {
            if !names.contains(&figure.name.as_str()) {
                names.push(&figure.name);
            }
        }
        let heads = self.columns.iter().map(|(name, _)| format!(" {name} |")).collect::<String>();
        println!("| |{heads} budget |\n|---|{}---|", "---|".repeat(self.columns.len()));
        for name in names {
            let find = |figures: &[Figure]| figures.iter().find(|figure| figure.name == name).cloned();
            let cells: Vec<Option<Figure>> = self.columns.iter().map(|(_, figures)| find(figures)).collect();
            let texts =
                cells.iter().map(|cell| cell.as_ref().map_or(" - |".into(), |cell| format!(" {} |", cell.text)));
            let budget = cells.iter().flatten().find_map(|cell| cell.budget);
            let budget = budget
                .map_or(String::new(), |(limit, kept)| format!("≤ {limit}{}", if kept { "" } else { ", **missed**" }));
            println!("| {name} |{} {budget} |", texts.collect::<String>());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let times: Vec<Duration> = (1..=20).map(Duration::from_millis).collect();
        assert_eq!(percentile(&times, 50), Duration::from_millis(10));
        assert_eq!(percentile(&times, 90), Duration::from_millis(18));
        assert_eq!(percentile(&times[..1], 99), Duration::from_millis(1));
        assert_eq!(percentile(&[], 50), Duration::ZERO);
    }
}
