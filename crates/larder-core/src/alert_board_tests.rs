//! The board, driven by scores and a clock that is handed in.

use super::*;
use crate::alert::Reason;

const MINUTE: i64 = 60;

fn thresholds() -> Thresholds {
    Thresholds {
        group_wait: Duration::ZERO,
        group_interval: Duration::ZERO,
        ..Thresholds::default()
    }
}

fn at(seconds: i64) -> Time {
    Time::from_unix(1_700_000_000 + seconds)
}

fn judged(score: f64) -> Judged {
    let alert = Alert {
        name: "RedisCacheUnhealthy".into(),
        cache: "redis:a".into(),
        severity: thresholds().severity(score),
        since: at(0),
        ended: None,
        score: Some(score),
        score_before: None,
        reasons: vec![Reason { id: "memory".into(), lost: Some(16.0), text: "full".into() }],
        trend: String::new(),
        command: None,
        frees: None,
        done: Vec::new(),
        details: Vec::new(),
    };
    Judged { alert, verdict: thresholds().judge(Some(score)) }
}

/// Steps through scores a given time apart; each telling with its second.
fn play(board: &mut Board, from: i64, apart: i64, scores: &[f64]) -> Vec<(i64, Occasion)> {
    let mut told = Vec::new();
    for (second, score) in (from..).step_by(usize::try_from(apart).unwrap()).zip(scores) {
        board.step(vec![judged(*score)], &thresholds(), at(second));
        let due = board.tell(&thresholds(), at(second), |_| false);
        told.extend(due.told.into_iter().map(|telling| (second, telling.occasion)));
    }
    told
}

#[test]
fn it_is_raised_after_its_time_told_once_and_cleared_after_its_time() {
    let mut board = Board::default();
    let told = play(&mut board, 0, 15, &[77.0; 9]);
    assert_eq!(told, [(60, Occasion::Raised)]);
    // 82 is neither: it goes on.
    assert_eq!(play(&mut board, 150, 15, &[82.0; 20]), []);
    let told = play(&mut board, 450, 15, &[90.0; 9]);
    assert_eq!(told, [(510, Occasion::Cleared)]);
    assert_eq!(board, Board::default());
}

#[test]
fn what_flaps_is_not_raised_and_not_cleared() {
    let mut board = Board::default();
    assert_eq!(play(&mut board, 0, 30, &[77.0, 90.0, 77.0, 90.0, 77.0, 90.0]), []);
    play(&mut board, 200, 30, &[77.0; 4]);
    assert_eq!(board.firing().count(), 1);
    assert_eq!(play(&mut board, 400, 30, &[90.0, 84.0, 90.0, 84.0, 90.0, 84.0]), []);
    assert_eq!(board.firing().count(), 1);
}

#[test]
fn worse_is_told_and_a_reminder_comes_after_its_time() {
    let mut board = Board::default();
    assert_eq!(play(&mut board, 0, 60, &[77.0, 77.0]), [(60, Occasion::Raised)]);
    assert_eq!(play(&mut board, 120, 60, &[60.0, 60.0]), [(180, Occasion::Changed)]);
    let told = play(&mut board, 240, 10 * MINUTE, &[60.0; 30]);
    assert_eq!(told.first(), Some(&(240 + 24 * 600, Occasion::Reminder)));
    assert_eq!(told.len(), 1);
}

#[test]
fn a_level_that_passes_again_is_not_told() {
    let mut board = Board::default();
    play(&mut board, 0, 60, &[77.0, 77.0]);
    assert_eq!(play(&mut board, 120, 30, &[60.0, 77.0, 60.0, 77.0, 60.0, 77.0]), []);
    assert_eq!(play(&mut board, 400, 30, &[60.0; 4]), [(460, Occasion::Changed)]);
}

#[test]
fn what_is_found_out_at_once_is_not_told_at_once_again() {
    let mut board = Board::default();
    assert_eq!(play(&mut board, 0, 60, &[50.0, 50.0]), [(60, Occasion::Raised)]);
    board.note("redis:a", Some("user batch limited".to_owned()), Vec::new());
    let told = play(&mut board, 61, 1, &[50.0; 20]);
    assert_eq!(told, [(70, Occasion::Changed)], "{told:?}");
}

#[test]
fn what_is_silenced_is_told_when_the_silence_ends_and_not_if_it_is_over_by_then() {
    let mut board = Board::default();
    let quiet = |_: &Alert| true;
    for second in [0, 60, 120] {
        board.step(vec![judged(50.0)], &thresholds(), at(second));
        assert_eq!(board.tell(&thresholds(), at(second), quiet), Due::default());
    }
    let mut over = board.clone();
    assert_eq!(play(&mut board, 180, 15, &[50.0]), [(180, Occasion::Raised)]);
    assert_eq!(play(&mut over, 180, 60, &[95.0, 95.0, 95.0]), []);
    assert_eq!(over, Board::default());
}

#[test]
fn an_unknown_score_changes_nothing() {
    let mut board = Board::default();
    play(&mut board, 0, 60, &[50.0, 50.0]);
    let mut unknown = judged(100.0);
    unknown.verdict = thresholds().judge(None);
    for second in (120..1000).step_by(60) {
        board.step(vec![unknown.clone()], &thresholds(), at(second));
        assert_eq!(board.tell(&thresholds(), at(second), |_| false), Due::default());
    }
    assert_eq!(board.firing().next().unwrap().score, Some(50.0));
}

#[test]
fn a_clock_that_jumps_back_neither_raises_nor_repeats() {
    let mut board = Board::default();
    play(&mut board, 0, 60, &[50.0, 50.0]);
    assert_eq!(play(&mut board, -100_000, 15, &[50.0; 5]), []);
    assert_eq!(board.firing().count(), 1);
}

#[test]
fn a_clock_that_was_set_back_holds_nothing_up() {
    let mut board = Board::default();
    play(&mut board, 0, 60, &[50.0]);
    let told = play(&mut board, -100_000, 60, &[50.0; 3]);
    assert_eq!(told, [(-100_000 + 60, Occasion::Raised)]);
    let mut good = play(&mut board, 0, 60, &[95.0]);
    good.extend(play(&mut board, -200_000, 60, &[95.0; 2]));
    assert_eq!(good, [(-200_000 + 60, Occasion::Cleared)]);
}

#[test]
fn ids_are_the_same_after_a_restart_and_differ_from_telling_to_telling() {
    let mut board = Board::default();
    board.step(vec![judged(50.0)], &thresholds(), at(0));
    board.step(vec![judged(50.0)], &thresholds(), at(60));
    let mut copy = board.clone();
    let first = board.tell(&thresholds(), at(60), |_| false).told;
    assert_eq!(copy.tell(&thresholds(), at(61), |_| false).told[0].id, first[0].id);
    board.step(vec![judged(75.0)], &thresholds(), at(120));
    board.step(vec![judged(75.0)], &thresholds(), at(180));
    assert_ne!(board.tell(&thresholds(), at(180), |_| false).told[0].id, first[0].id);
}

#[test]
fn what_is_no_longer_looked_after_is_cleared() {
    let mut board = Board::default();
    play(&mut board, 0, 60, &[50.0, 50.0]);
    board.retain(|cache| cache != "redis:a", at(200));
    let told = board.tell(&thresholds(), at(200), |_| false).told;
    assert_eq!(told[0].occasion, Occasion::Cleared);
    assert_eq!(told[0].alert.ended, Some(at(200)));
}

#[test]
fn what_is_done_about_it_is_told_once_and_stays_with_it() {
    let mut board = Board::default();
    play(&mut board, 0, 60, &[50.0, 50.0]);
    let done = "user batch limited until 14:32".to_owned();
    board.note("redis:a", Some(done.clone()), vec!["KEYS report:*, 31 times".into()]);
    board.step(vec![judged(50.0)], &thresholds(), at(120));
    let told = board.tell(&thresholds(), at(120), |_| false).told;
    assert_eq!(told[0].occasion, Occasion::Changed);
    assert_eq!(told[0].alert.done, std::slice::from_ref(&done));
    assert_eq!(told[0].alert.details, ["KEYS report:*, 31 times"]);
    board.step(vec![judged(50.0)], &thresholds(), at(180));
    assert_eq!(board.tell(&thresholds(), at(180), |_| false), Due::default());
    assert_eq!(board.firing().next().unwrap().done, [done]);
}

/// The first ones of some caches with these scores; the caches of each telling.
fn together(board: &mut Board, second: i64, scores: &[f64]) -> Vec<String> {
    let grouped = Thresholds::default();
    let each = scores.iter().zip(["redis:a", "redis:b", "redis:c"]).map(|(score, cache)| {
        let mut one = judged(*score);
        one.alert.cache = cache.to_owned();
        one
    });
    board.step(each.collect(), &grouped, at(second));
    let told = board.tell(&grouped, at(second), |_| false).told;
    told.into_iter().map(|one| format!("{} {}", one.occasion.name(), one.alert.cache)).collect()
}

#[test]
fn what_is_raised_within_the_wait_is_told_at_once_and_once() {
    let mut board = Board::default();
    assert!(together(&mut board, 0, &[77.0]).is_empty());
    assert!(together(&mut board, 20, &[77.0, 77.0]).is_empty());
    assert!(together(&mut board, 60, &[77.0, 77.0]).is_empty());
    // Raised, and known to who asks, but not told.
    assert_eq!(board.firing().count(), 1);
    assert_eq!(board.waits_until(&Thresholds::default()), Some(at(90)));
    assert!(together(&mut board, 80, &[77.0, 77.0]).is_empty());
    assert_eq!(together(&mut board, 90, &[77.0, 77.0]), ["raised redis:a", "raised redis:b"]);
    assert_eq!(board.waits_until(&Thresholds::default()), None);
    assert!(together(&mut board, 150, &[77.0, 77.0]).is_empty());
}

#[test]
fn what_is_critical_waits_for_nobody_and_takes_along_what_waits() {
    let mut board = Board::default();
    assert!(together(&mut board, 0, &[77.0, 60.0]).is_empty());
    assert_eq!(together(&mut board, 60, &[77.0, 60.0]), ["raised redis:a", "raised redis:b"]);
    // What waits and becomes critical meanwhile does not wait on.
    let mut board = Board::default();
    together(&mut board, 0, &[77.0]);
    assert!(together(&mut board, 60, &[77.0]).is_empty());
    assert_eq!(together(&mut board, 65, &[60.0]), ["raised redis:a"]);
}

#[test]
fn what_comes_later_waits_until_the_others_were_told_of_for_a_while() {
    let mut board = Board::default();
    together(&mut board, 0, &[77.0]);
    together(&mut board, 60, &[77.0]);
    assert_eq!(together(&mut board, 90, &[77.0]), ["raised redis:a"]);
    together(&mut board, 100, &[77.0, 77.0]);
    assert!(together(&mut board, 160, &[77.0, 77.0]).is_empty());
    assert!(together(&mut board, 200, &[77.0, 77.0, 77.0]).is_empty());
    assert!(together(&mut board, 389, &[77.0, 77.0, 77.0]).is_empty());
    assert_eq!(
        together(&mut board, 390, &[77.0, 77.0, 77.0]),
        ["raised redis:b", "raised redis:c"]
    );
    assert_eq!(together(&mut board, 460, &[50.0, 77.0, 77.0]), [""; 0]);
    assert_eq!(together(&mut board, 520, &[50.0, 77.0, 77.0]), ["changed redis:a"]);
}

#[test]
fn what_is_over_before_it_was_told_is_not_told_and_who_answers_it_does_not_wait() {
    let mut board = Board::default();
    let grouped = Thresholds { group_wait: Duration::from_mins(5), ..Thresholds::default() };
    let mut all = Vec::new();
    for (second, score) in [(0, 77.0), (60, 77.0), (75, 77.0), (90, 95.0), (150, 95.0)] {
        board.step(vec![judged(score)], &grouped, at(second));
        let due = board.tell(&grouped, at(second), |_| false);
        assert_eq!(due.begun.len(), usize::from(second == 60), "{second}");
        all.extend(due.told);
    }
    assert_eq!((all, board), (Vec::new(), Board::default()));
}

#[test]
fn a_clock_that_was_set_back_does_not_hold_a_group_up() {
    let mut board = Board::default();
    together(&mut board, 0, &[77.0]);
    assert!(together(&mut board, 60, &[77.0]).is_empty());
    assert!(together(&mut board, -100_000, &[77.0]).is_empty());
    assert_eq!(together(&mut board, -100_000 + 30, &[77.0]), ["raised redis:a"]);
}
