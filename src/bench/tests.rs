use super::*;
use crate::Pipeline;

fn measured(passes: &[u64]) -> Benchmark {
    Benchmark {
        component: Component::UNET,
        size: (8, 8),
        threads: 1,
        ready: Duration::ZERO,
        read: 0,
        kinds: Vec::new(),
        passes: passes.iter().copied().map(Duration::from_millis).collect(),
    }
}

#[test]
fn the_median_of_an_even_number_is_between_the_two_in_the_middle() {
    assert_eq!(measured(&[7]).median().as_millis(), 7);
    assert_eq!(measured(&[1, 2, 90]).median().as_millis(), 2);
    assert_eq!(measured(&[1, 2, 4, 90]).median().as_millis(), 3);
    let range = measured(&[1, 2, 90]);
    assert_eq!((range.min().as_millis(), range.max().as_millis()), (1, 90));
}

#[test]
fn networks_are_planned_and_timed_also_of_models_that_cannot_be_painted_with() {
    let cache = tempfile::tempdir().expect("a folder");
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("test-models/tiny-sdxl/unet-only");
    assert!(Pipeline::load(&model, &LoadOptions::default()).is_err());
    let options = |memory_mib| LoadOptions {
        threads: Some(2),
        cache: Some(cache.path().to_owned()),
        memory_mib,
        ..LoadOptions::default()
    };
    let plan = |memory| {
        component_plan(
            &model,
            &options(memory),
            &Component::UNET,
            Some((48, 32)),
            true,
        )
    };
    let free = plan(None).expect("there is no limit");
    assert_eq!(free.stages.len(), 1);
    assert!(free.stages[0].weights > 2 << 20 && free.peak() > free.stages[0].weights);
    assert!(
        matches!(plan(Some(1)), Err(Error::Memory(small)) if small.component == Component::UNET)
    );

    let request = BenchRequest {
        component: None,
        size: Some((48, 32)),
        guided: true,
        repeat: NonZeroUsize::MIN,
        explain: false,
    };
    let measured = bench(&model, &options(None), &request, &CancelToken::new());
    assert_eq!(measured.expect("it runs").size, (48, 32));
}
