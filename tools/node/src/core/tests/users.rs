//! Users' transactions: what their terminals are told, and what is refused.

use super::*;

#[test]
fn a_transaction_goes_the_whole_way_and_every_node_agrees() {
    let mut world = World::new(4);
    world.run_for(Duration::from_millis(700));
    let mut ids = Vec::new();
    for salt in 0..50 {
        let transaction = world.transfer(salt);
        ids.push(transaction.id());
        world.submit(&transaction);
        world.run_for(Duration::from_millis(20));
    }
    world.run_for(Duration::from_secs(2));
    for id in &ids {
        let statuses = world.statuses(*id);
        assert!(matches!(statuses[..], [Status::Received, Status::Included(..)]), "{statuses:?}");
        let Status::Included(slice, _) = statuses[1] else { panic!() };
        assert!(world.finals.last().unwrap().1.height >= slice.height, "told final");
    }
    assert_eq!(world.core(0).stats().accepted, 50);
    for index in 0..4 {
        assert_eq!(world.core(index).stats().final_transactions, 50, "node {index}");
        assert_eq!(world.core(index).stats().executed, 50, "each executes its own");
        assert_eq!(world.nodes[index].as_ref().unwrap().verify.counters().transactions, 50, "each verifies its own");
        assert!(world.core(index).ledger.supply(&world.core(index).ledger.final_slice().id).unwrap().is_conserved());
    }
}

#[test]
fn the_four_levels_come_in_order_and_soon() {
    let mut world = World::new(4);
    world.run_for(Duration::from_millis(1_000));
    let transaction = world.transfer(1);
    let sent_at = world.now;
    world.submit(&transaction);
    world.run_for(Duration::from_secs(1));
    let at = |wanted: fn(&Status) -> bool| {
        world.told.iter().find(|(_, _, status)| wanted(status)).map(|(at, _, _)| at.since(sent_at)).unwrap()
    };
    let received = at(|status| matches!(status, Status::Received));
    let included = at(|status| matches!(status, Status::Included(..)));
    assert!(received < Duration::from_millis(1) && received <= included && included <= Duration::from_millis(60));
    let slice = match world.statuses(transaction.id())[1] {
        Status::Included(slice, _) => *slice,
        other => panic!("{other:?}"),
    };
    let final_at = world.finals.iter().find(|(_, told)| told.height >= slice.height).unwrap().0;
    assert!(final_at.since(sent_at) < Duration::from_millis(300), "{:?}", final_at.since(sent_at));
}

#[test]
fn bad_transactions_are_refused_with_their_reason() {
    let mut world = World::new(4);
    world.run_for(Duration::from_millis(700));
    let good = world.transfer(1);
    let mut wrong_chain = good.body.clone();
    wrong_chain.chain = ChainId(Hash([9; 32]));
    let mut expired = good.body.clone();
    expired.expiry_ms = 5;
    let mut rich = good.body.clone();
    rich.actions = vec![token::transfer_action(name("alice"), name("bobby"), Amount(u128::MAX))];
    let mut unsigned = good.clone();
    unsigned.signatures.clear();
    let sign = |body| Transaction::sign(body, &[&keys(3, 0)]);
    let cases = [
        (sign(wrong_chain), RejectReason::WrongChain),
        (sign(expired), RejectReason::Expired),
        (sign(rich), RejectReason::Overdrawn),
        (unsigned, RejectReason::BadSignature),
        (Transaction::sign(world.transfer(2).body, &[&keys(3, 1)]), RejectReason::Unauthorised),
    ];
    for (transaction, reason) in cases {
        world.submit(&transaction);
        world.run_for(Duration::from_millis(5));
        assert_eq!(world.statuses(transaction.id()), [&Status::Rejected(reason)]);
    }
    world.submit(&good);
    world.run_for(Duration::from_millis(5));
    world.submit(&good);
    world.run_for(Duration::from_millis(5));
    let statuses = world.statuses(good.id());
    assert!(statuses.contains(&&Status::Rejected(RejectReason::Duplicate)), "{statuses:?}");
    world.give(0, Input::Message { session: TERMINAL, kind: kind::SUBMIT_TRANSACTION, body: vec![1, 2, 3] });
    world.run_for(Duration::from_millis(5));
    assert_eq!(world.statuses(Hash::of(&[1, 2, 3])), [&Status::Rejected(RejectReason::Malformed)]);
}

#[test]
fn a_transaction_that_comes_again_by_another_session_is_followed_there() {
    let mut world = World::new(4);
    world.run_for(Duration::from_millis(700));
    let transaction = world.transfer(1);
    world.submit(&transaction);
    world.run_for(Duration::from_millis(60));
    assert_eq!(world.statuses(transaction.id()).len(), 2, "received, included");
    world.told.clear();
    // The terminal lost its session and sends again what is open.
    let again = SessionId { index: TERMINAL.index, generation: 1 };
    let peer = Some(keys(9, 0).public());
    world.give(0, Input::Closed { session: TERMINAL });
    world.give(0, Input::Opened { session: again, peer, class: Class::Terminal });
    let body = Message::SubmitTransaction(Box::new(transaction.clone())).encode();
    world.give(0, Input::Message { session: again, kind: kind::SUBMIT_TRANSACTION, body });
    let mut told = Vec::new();
    for _ in 0..10 {
        while let Some(output) = world.nodes[0].as_mut().and_then(|node| node.core.poll(world.now)) {
            if let Output::Card(Command::Send { session, message, .. }) = &output
                && *session == again
                && let Message::TransactionStatus(status) = Message::decode(message[4], &message[5..]).unwrap()
            {
                told.push(status.status);
                continue;
            }
            if !matches!(&output, Output::Card(Command::Send { session, .. }) if *session == again) {
                world.act(0, output);
            }
        }
        world.now += Duration::from_micros(50);
        while let Some(entry) = world.flying.first_entry().filter(|entry| entry.key().0 <= world.now) {
            let (to, input) = entry.remove();
            world.give(to, input);
        }
    }
    assert!(matches!(told[..], [Status::Received, Status::Included(..)]), "{told:?}");
}

#[test]
fn a_terminal_may_not_speak_as_a_validator() {
    let mut world = World::new(4);
    world.give(0, Input::Message { session: TERMINAL, kind: kind::SLICE_BUNDLE, body: vec![0; 50] });
    assert_eq!(world.core(0).stats().bad_messages, 1);
}
