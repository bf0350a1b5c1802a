//! A terminal that follows headers.

use hpb_consensus::light::Output as Told;
use hpb_consensus::{Anchor as _, Dpos, Finality, Light, LightError, VerifyError, dpos::Anchor};
use hpb_types::certificate::CertificateError;

use super::*;

/// A light terminal of the world's chain.
fn light(world: &World) -> Light<Dpos> {
    let genesis = &world.genesis;
    let anchor = Anchor::genesis(genesis.genesis_slice(), crate::engine::first_schedules(genesis));
    let config = EngineConfig::new(genesis, None, UnixMillis(WALL_AT_ZERO));
    Light::start(config, anchor, crate::engine::verifier(genesis), world.now)
}

/// Asks node 0 as its terminal for headers until there are no more. Gives all of them.
fn follow(world: &mut World, light: &mut Light<Dpos>) -> Vec<Slice> {
    let mut all = Vec::new();
    for request in 1.. {
        let wanted = RangeRequest { request, from: light.wanted(), to: Slot(u64::MAX) };
        let body = Message::HeadersRequest(wanted).encode();
        world.headers.clear();
        world.give(0, Input::Message { session: TERMINAL, kind: kind::HEADERS_REQUEST, body });
        world.run_for(Duration::from_millis(2));
        let Some(answer) = world.headers.pop() else { panic!("no answer to {wanted:?}") };
        assert_eq!(answer.request, request);
        all.extend(answer.slices.iter().cloned());
        light.handle(world.now, answer.slices);
        while let Some(told) = light.poll(world.now) {
            assert!(matches!(told, Told::Final(_)), "{told:?}");
        }
        match answer.end {
            PieceEnd::Cut => {}
            PieceEnd::Done | PieceEnd::NotHere => break,
            end => panic!("{end:?}"),
        }
    }
    all
}

#[test]
fn a_terminal_follows_headers_from_genesis_over_epochs_by_what_a_node_serves() {
    let (mut world, _, _) = without_the_last(40);
    let mut light = light(&world);
    let headers = follow(&mut world, &mut light);
    let (own, served) = (light.last_final().height, headers.last().unwrap().reference());
    assert!(own.slot.0 + 1 >= served.height.slot.0 && served.height.slot.0 > 40, "{own:?} of {served:?}");
    assert!(light.in_force().epoch.0 >= 4, "{:?}", light.in_force().epoch);
    let epoch = headers.last().unwrap().body.epoch;
    assert_eq!(light.in_force().epoch, epoch);
    let others = world.core(1).engine.schedules().get(epoch).cloned();
    assert!(others.is_none_or(|schedule| schedule == *light.in_force()));
    for slice in headers.iter().filter(|slice| slice.body.height() <= own) {
        assert_eq!(light.finality(&slice.reference()), Finality::Final);
    }
    assert!(world.holds_final(1, light.last_final()));
    // It goes on from where it is.
    world.run_for(Duration::from_secs(5));
    follow(&mut world, &mut light);
    assert!(light.last_final().height > own);
}

/// What is forged, how, and what is said of it.
type Forgery<'a> = (&'a str, &'a dyn Fn(&mut Slice), VerifyError);

#[test]
fn headers_with_forged_words_are_refused_by_name() {
    let (mut world, _, _) = without_the_last(10);
    let mut whole = light(&world);
    let honest = follow(&mut world, &mut whole);
    let at = honest.iter().position(|slice| slice.body.slot.0 >= 6 && slice.body.index == 0).unwrap();
    let signed_by = |slice: &mut Slice| {
        let index = (0..4).find(|index| producer_name(*index) == slice.body.producer).unwrap();
        *slice = Slice::sign(slice.body.clone(), &keys(1, index));
    };
    let forge: [Forgery<'_>; 5] = [
        ("another's signature", &|slice| *slice = Slice::sign(slice.body.clone(), &keys(1, 9)), VerifyError::Signature),
        ("a body changed", &|slice| slice.body.results.hash.0[0] ^= 1, VerifyError::Signature),
        (
            "a confirm that nobody signed",
            &|slice| {
                slice.body.source.quorums[0].signatures[1].0[7] ^= 1;
                signed_by(slice);
            },
            VerifyError::Certificate(CertificateError::Signature(producer_name(0))),
        ),
        (
            "two of four",
            &|slice| {
                let quorum = &mut slice.body.source.quorums[0];
                let kept: Vec<usize> = quorum.producers.iter().take(2).collect();
                quorum.producers = hpb_types::Bitmap::default();
                for index in kept {
                    assert!(quorum.producers.insert(index));
                }
                quorum.signatures.truncate(2);
                signed_by(slice);
            },
            VerifyError::Certificate(CertificateError::Weight(Epoch(0))),
        ),
        (
            "another's part of the beacon",
            &|slice| {
                slice.body.beacon = honest[0].body.beacon;
                signed_by(slice);
            },
            VerifyError::Beacon,
        ),
    ];
    for (what, forge, expected) in forge {
        let mut forged = honest.clone();
        forge(&mut forged[at]);
        let mut light = light(&world);
        light.handle(world.now, forged.clone());
        let refused: Vec<Told> =
            std::iter::from_fn(|| light.poll(world.now)).filter(|told| matches!(told, Told::Refused(_))).collect();
        let [Told::Refused(LightError::Unverified { header, error })] = refused[..] else {
            panic!("{what}: {refused:?}")
        };
        assert_eq!(header, forged[at].reference(), "{what}");
        let same = match (error, expected) {
            // Whichever of the set it was.
            (VerifyError::Certificate(of), VerifyError::Certificate(like)) => {
                std::mem::discriminant(&of) == std::mem::discriminant(&like)
            }
            (of, like) => of == like,
        };
        assert!(same, "{what}: {error}");
        let before = honest[at - 1].body.height();
        assert_eq!(light.wanted(), Height { index: before.index + 1, ..before }, "{what}");
        light.handle(world.now, honest[at..].to_vec());
        assert_eq!(light.last_final(), whole.last_final(), "{what}: the rest comes from another");
    }
}
