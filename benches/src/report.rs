//! What a run found, for people and for programs.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::Result;
use crate::growth::Growth;
use crate::measure::Samples;
use crate::options::Kind;
use crate::subject::Variant;
use crate::table::{Table, figure};
use crate::targets;

/// Everything about one run. The first variant is the bare table.
#[derive(Debug)]
pub(crate) struct Report {
    /// What was measured how, a line each.
    pub(crate) setting: Vec<(&'static str, String)>,
    pub(crate) variants: Vec<Variant>,
    pub(crate) samples: Samples,
    pub(crate) growths: Vec<Growth>,
}

fn verdict(met: bool) -> &'static str {
    if met { "pass" } else { "MISS" }
}

impl Report {
    /// The tables.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for (name, value) in &self.setting {
            // Writing to a String does not fail.
            let _ = writeln!(text, "{name}: {value}");
        }
        let _ = write!(text, "\n{}", self.cost_table());
        if !self.growths.is_empty() {
            let _ = write!(text, "\n{}", self.growth_table());
        }
        let (met, judged) = self.tally();
        if judged > 0 {
            let _ = writeln!(text, "\n{met} of {judged} targets met.");
        }
        text
    }

    fn cost_table(&self) -> Table {
        let mut table =
            Table::new(["workload", "variant", "us", "+-", "added us", "target", "times bare", "target", "verdict"]);
        for workload in self.samples.workloads().iter().copied() {
            for (subject, variant) in self.variants.iter().enumerate() {
                let cost = self.samples.cost(workload, subject);
                let label =
                    if subject == 0 { format!("{}. {}", workload.letter(), workload.label()) } else { String::new() };
                let mut row = vec![label, variant.name.clone(), figure(cost.total), figure(cost.spread)];
                if variant.kind != Kind::Bare {
                    let target = targets::cost(workload, variant);
                    row.extend([
                        figure(cost.added),
                        target.map_or_else(String::new, |target| figure(target.added)),
                        format!("{:.2}", cost.multiple),
                        target.map_or_else(String::new, |target| format!("{:.2}", target.multiple)),
                        target.map_or_else(String::new, |target| verdict(cost.multiple <= target.multiple).to_owned()),
                    ]);
                }
                table.row(row);
            }
        }
        table
    }

    fn growth_table(&self) -> Table {
        let mut table = Table::new([
            "bytes per change",
            "variant",
            "heap",
            "toast",
            "indexes",
            "stored",
            "target",
            "verdict",
            "WAL",
            "WAL added",
        ]);
        for growth in &self.growths {
            let variant = &self.variants[growth.subject];
            let target = targets::stored_bytes(growth.workload, variant);
            let label = if growth.subject == 0 {
                format!("{}. {}", growth.workload.letter(), growth.workload.label())
            } else {
                String::new()
            };
            let whole = |bytes: f64| format!("{bytes:.0}");
            table.row(vec![
                label,
                variant.name.clone(),
                whole(growth.heap),
                whole(growth.toast),
                whole(growth.indexes),
                whole(growth.stored()),
                target.map_or_else(String::new, whole),
                target.map_or_else(String::new, |target| verdict(growth.stored() <= target).to_owned()),
                whole(growth.wal),
                whole(growth.wal - self.bare_wal(growth)),
            ]);
        }
        table
    }

    fn bare_wal(&self, growth: &Growth) -> f64 {
        self.growths
            .iter()
            .find(|other| other.subject == 0 && other.workload == growth.workload)
            .map_or(0.0, |bare| bare.wal)
    }

    /// How many of how many cost targets this run met; those of candidates do not count.
    fn tally(&self) -> (usize, usize) {
        let mut met = 0;
        let mut judged = 0;
        for workload in self.samples.workloads().iter().copied() {
            for (subject, variant) in self.variants.iter().enumerate() {
                if variant.is_candidate {
                    continue;
                }
                if let Some(target) = targets::cost(workload, variant) {
                    judged += 1;
                    met += usize::from(self.samples.cost(workload, subject).multiple <= target.multiple);
                }
            }
        }
        (met, judged)
    }

    /// Writes every figure to a file.
    pub(crate) fn write_json(&self, path: &Path) -> Result<()> {
        let setting: serde_json::Map<String, Value> =
            self.setting.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        let mut costs = Vec::new();
        for workload in self.samples.workloads().iter().copied() {
            for (subject, variant) in self.variants.iter().enumerate() {
                let cost = self.samples.cost(workload, subject);
                let target = targets::cost(workload, variant);
                costs.push(json!({
                    "workload": workload.letter().to_string(),
                    "variant": variant.name,
                    "median_us": cost.total,
                    "spread_us": cost.spread,
                    "added_us": cost.added,
                    "multiple": cost.multiple,
                    "target_added_us": target.map(|target| target.added),
                    "target_multiple": target.map(|target| target.multiple),
                    "met": target.map(|target| cost.multiple <= target.multiple),
                    "samples_us": self.samples.figures(workload, subject),
                }));
            }
        }
        let growths: Vec<Value> = self
            .growths
            .iter()
            .map(|growth| {
                let variant = &self.variants[growth.subject];
                let target = targets::stored_bytes(growth.workload, variant);
                json!({
                    "workload": growth.workload.letter().to_string(),
                    "variant": variant.name,
                    "heap_bytes": growth.heap,
                    "toast_bytes": growth.toast,
                    "index_bytes": growth.indexes,
                    "stored_bytes": growth.stored(),
                    "target_stored_bytes": target,
                    "met": target.map(|target| growth.stored() <= target),
                    "wal_bytes": growth.wal,
                    "wal_added_bytes": growth.wal - self.bare_wal(growth),
                })
            })
            .collect();
        let whole = json!({ "setting": setting, "costs": costs, "growth": growths });
        fs::write(path, format!("{whole:#}\n")).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(())
    }
}
