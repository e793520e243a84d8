//! What a store does not offer it refuses, by name and without doing any of it.

use annals_core::{Cursor, ErrorKind, Expected, PolicyAction, PolicyChange, ReadRequest, Version};

use crate::bench::Bench;
use crate::case::cases;
use crate::failure::{Verdict, check_eq};
use crate::names::{category, criteria, event, stream};

cases! {
    stay_the_same;
    appends_outside_are_refused;
    reads_outside_are_refused;
    policies_outside_are_refused;
}

async fn stay_the_same(bench: &Bench) -> Verdict {
    let before = bench.store().capabilities();
    bench.write("a-1", &["x"]).await?;
    check_eq(
        "the capabilities after an append",
        bench.store().capabilities(),
        before,
    )
}

async fn appends_outside_are_refused(bench: &Bench) -> Verdict {
    let offered = bench.capabilities();
    let one = || {
        bench
            .fresh()
            .write(stream("a-1"), Expected::Any, [event("lost")])
    };
    let attempts = [
        (
            offered.multi_stream_appends,
            one().write(stream("b-1"), Expected::Any, [event("lost")]),
        ),
        (
            offered.stream_checks,
            one().check(stream("b-1"), Expected::NoStream),
        ),
        (
            offered.conditions,
            one().unless(criteria(&[(&["never"], &[])]), Cursor::START),
        ),
    ];
    for (offered, append) in attempts {
        if !offered {
            bench.refused(append, ErrorKind::Unsupported).await?;
            bench.is_at("a-1", 0).await?;
            bench.is_at("b-1", 0).await?;
        }
    }
    Ok(())
}

async fn reads_outside_are_refused(bench: &Bench) -> Verdict {
    let offered = bench.capabilities();
    bench.write("a-1", &["x"]).await?;
    let matching = ReadRequest::matching(criteria(&[(&["noted"], &[])]));
    let backward = ReadRequest::stream(stream("a-1")).backward();
    for (offered, request) in [
        (offered.backward_reads, backward),
        (
            offered.backward_reads,
            bench.ordered(ReadRequest::all()).backward(),
        ),
        (offered.total_order, ReadRequest::all()),
        (offered.total_order, ReadRequest::category(category("a"))),
        (offered.total_order, matching),
    ] {
        if !offered {
            let what = format!(
                "reading {}: the kind of error",
                crate::pages::text_of(&request)
            );
            let found = bench.store().read(request).await;
            check_eq(
                what,
                found.err().map(|error| error.kind()),
                Some(ErrorKind::Unsupported),
            )?;
        }
    }
    Ok(())
}

async fn policies_outside_are_refused(bench: &Bench) -> Verdict {
    if bench.capabilities().stream_policies {
        return Ok(());
    }
    bench.write("a-1", &["x", "y"]).await?;
    for action in [
        PolicyAction::TruncateBefore(Version::new(2)),
        PolicyAction::SoftDelete,
        PolicyAction::Tombstone,
    ] {
        let change = PolicyChange {
            stream: stream("a-1"),
            expected: Expected::Any,
            action,
        };
        let outcome = bench.store().change_stream_policy(change).await;
        let kind = outcome.err().map(|error| error.kind());
        let what = "changing a policy: the kind of error";
        check_eq(what, kind, Some(ErrorKind::Unsupported))?;
    }
    bench.stream_shows("a-1", &["x", "y"]).await
}
