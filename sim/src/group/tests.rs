use super::*;

#[test]
fn without_faults_all_is_well_and_the_leader_stays() {
    for seed in 0..4 {
        let plan = Plan::without_faults(seed);
        let summary = run(seed, plan, None, false).unwrap_or_else(|it| panic!("{it}"));
        assert!(summary.coverage.count("acknowledged") > 20, "clients get somewhere: {summary}");
    }
}

#[test]
fn with_faults_all_promises_are_kept() {
    for seed in 0..10 {
        run(seed, Plan::of(seed), None, false).unwrap_or_else(|it| panic!("{it}"));
    }
}

#[test]
fn a_seed_is_one_run() {
    for seed in 0..2 {
        let runs = [(); 2].map(|()| run(seed, Plan::of(seed), None, false).map(|it| it.hash));
        assert_eq!(runs[0].as_ref().ok(), runs[1].as_ref().ok());
    }
}
