//! How long documents made to cost time take: each must be answered within 100 ms.
#![allow(missing_docs)]

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use governance::{Compat, Origin, RuleSet, ScriptLimits};

#[path = "../tests/hostile/documents.rs"]
mod documents;

fn hostile(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hostile");
    group.sample_size(10).warm_up_time(Duration::from_millis(100));
    group.measurement_time(Duration::from_millis(500));
    for document in documents::all() {
        let id = format!("{} ({})", document.name, document.code);
        group.bench_function(id, |bencher| {
            bencher.iter(|| {
                let mut rules =
                    RuleSet::new(Compat::Documented).with_scripts(Some(ScriptLimits::default()));
                let origin = Origin::Store { revision: 1 };
                black_box(rules.apply(document.key, Some(&document.text), origin))
            });
        });
    }
    group.finish();
}

criterion_group!(benches, hostile);
criterion_main!(benches);
