//! What every engine owes its host, whatever its rules: run against each of them.
//!
//! The seam (`contract`); one engine by hand: what it confirms and makes final (`rules`), what it takes and refuses
//! (`intake`), how it produces (`producing`); and worlds of engines on virtual time (`runs`), whose hosts hold each engine to
//! the contract of its outputs. What an engine's rules leave open it says by [`kit::Subject`]; its own rules have tests of
//! their own.

mod contract;
mod intake;
pub(crate) mod kit;
mod producing;
mod rules;
pub(crate) mod runs;
pub(crate) mod world;

/// The suite, a test for each engine and rule.
macro_rules! suite {
    (@ $name:ident $engine:ident $($module:ident: { $($test:ident,)+ })+) => {
        mod $name {
            $(mod $module {
                $(#[test]
                fn $test() {
                    crate::conformance::$module::$test::<crate::$engine>();
                })+
            })+
        }
    };
    ($($modules:tt)+) => {
        suite! { @ dpos Dpos $($modules)+ }
        suite! { @ authority Authority $($modules)+ }
    };
}

suite! {
    contract: {
        as_many_as_decide_make_all_final_and_one_less_nothing,
        the_side_that_decides_goes_on_and_the_other_makes_nothing_final,
        hosts_may_be_slow_and_answer_in_any_order,
        a_host_slower_than_a_slot_is_asked_for_one_slice_at_a_time,
        repetition_and_order_change_nothing,
        what_is_wrong_is_refused_and_counted_and_changes_nothing,
        whoever_lost_its_watermark_is_told_why_it_is_silent,
        no_input_makes_it_panic,
        an_anchor_goes_on_by_one_chain_only,
        a_restart_on_the_log_changes_no_judgement,
        its_verifier_asks_for_as_much_weight_as_it_does,
        what_it_says_of_itself_is_what_it_was_told,
    }
    rules: {
        sources_picked_from_each_voters_view_would_split,
        a_confirm_links_from_what_its_target_carries_though_more_is_known,
        confirms_go_in_order_and_skip_none_however_slices_and_results_arrive,
        a_confirm_waits_for_execution_and_for_the_disk,
        one_confirm_a_height_whatever_the_producer_sends,
        a_slice_off_the_head_is_confirmed_unless_its_source_is_below_the_last,
        a_voter_of_a_long_minority_fork_confirms_the_majority_at_once,
        lateness_stops_the_confirm_and_nothing_else,
        what_follows_a_late_slice_in_its_slot_is_late,
        a_slot_that_has_not_come_is_refused_and_its_slice_is_welcome_later,
        other_results_make_a_slice_and_its_followers_invalid,
        a_certified_slice_that_does_not_match_is_a_divergence_in_either_order,
        too_few_are_not_enough_and_nobody_counts_twice,
        a_link_within_a_slot_over_a_dense_run_makes_its_source_final_with_all_before,
        finality_across_a_gap_would_make_two_forks_final,
        finality_does_not_depend_on_the_order_of_arrival,
        a_carried_certificate_counts_like_the_confirms_themselves,
        final_waits_for_execution_here,
        finality_discards_the_other_forks_and_moves_the_head,
        the_head_follows_what_is_final_even_against_the_highest_justified_slice,
        the_highest_justified_slice_outweighs_filled_slots,
        only_what_was_executed_is_built_on,
    }
    intake: {
        slices_are_refused_by_what_is_wrong_with_them,
        nothing_follows_the_last_slice_of_a_slot_within_it,
        no_chain_passes_the_checkpoint_by_another_slice_or_by_none,
        a_carried_certificate_is_of_the_own_chain_never_lower_and_links_from_what_its_target_carries,
        what_follows_an_invalid_slice_is_dropped_and_not_asked_for_again,
        a_flood_of_siblings_is_bounded_but_one_that_others_build_on_is_taken,
        a_missing_parent_is_asked_for_until_it_comes,
        confirms_may_come_before_their_slice_and_a_quorum_of_them_asks_for_it,
        confirms_are_refused_by_what_is_wrong_with_them,
        conflicting_confirms_are_evidence_and_count_for_whoever_hears_them,
        a_hundred_and_one_producers,
    }
    producing: {
        a_slot_is_streamed_on_a_grid_and_its_last_slice_leaves_delta_before_its_end,
        the_next_producer_waits_for_the_mark,
        the_next_producer_waits_delta_at_most,
        a_proposal_carries_the_highest_certificate_known_on_its_chain,
        an_own_slice_is_sent_and_confirmed_like_anothers,
        the_first_slice_of_a_slot_leaves_when_it_is_on_disk_and_none_goes_before_it,
        a_proposal_that_was_not_asked_for_so_or_comes_too_late_is_not_sent,
        a_declined_proposal_ends_the_slot_and_the_next_one_comes,
        a_restarted_producer_leaves_the_slot_that_it_may_have_begun,
        a_clock_set_back_makes_no_second_slice,
        a_slot_that_the_disk_or_a_peer_shows_begun_is_not_begun_again_whatever_the_clock_says,
        an_observer_and_a_stranger_say_nothing,
        too_far_from_finality_slices_carry_no_transactions_and_are_few,
        the_same_inputs_give_the_same_outputs,
    }
    runs: {
        four_producers_make_everything_final_within_half_a_second,
        a_silent_producers_slots_are_skipped_and_all_the_rest_is_final,
        the_hand_over_retracts_nothing_when_delays_are_within_delta,
        two_against_two_make_nothing_final_and_heal_within_two_slots,
        three_go_on_and_the_fourth_catches_up,
        random_delays_and_losses_never_make_two_final_chains,
        one_seed_one_world,
        producers_that_crash_and_restart_never_contradict_themselves,
        all_nodes_stopped_at_once_go_on_from_their_disks,
        producers_that_keep_their_watermarks_but_not_their_slices_stand_still,
        a_lost_watermark_keeps_silent_until_the_chain_has_moved_past_the_restart,
        an_idle_chain_is_silent_and_wakes_for_a_transaction,
        twenty_one_producers_agree,
    }
}
