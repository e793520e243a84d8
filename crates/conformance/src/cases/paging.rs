//! Reading in pages of any size is reading in one.

use annals_core::{Cursor, Expected, ReadRequest, RecordedEvent, Version};

use crate::bench::Bench;
use crate::case::cases;
use crate::failure::{Failure, Verdict, check_eq, ensure};
use crate::names::{category, criteria, labels, stream, typed};
use crate::pages;

cases! {
    pages_of_every_size_show_the_same;
    backward_pages_of_every_size_show_the_same needs [BackwardReads];
    pages_of_any_bytes_show_the_same;
    a_page_at_the_end_has_no_next;
    a_reader_goes_on_from_any_cursor;
    pages_keep_to_the_bounds needs [TotalOrder];
    events_appended_between_pages_come_once;
    events_appended_between_backward_pages_do_not_come needs [BackwardReads];
    sparse_events_are_found needs [TotalOrder];
    many_events_come_in_pages_by_default;
}

/// Twelve events over three streams, some of them `hot`.
async fn fill(bench: &Bench) -> Verdict {
    for number in 0..12_u32 {
        let of = if number % 3 == 1 { "hot" } else { "noted" };
        let event = typed(of, &[], &number.to_string());
        let to = stream(
            ["a-1", "b-1", "a-2"]
                .get(number as usize / 2 % 3)
                .unwrap_or(&"a-1"),
        );
        bench
            .append(bench.fresh().write(to, Expected::Any, [event]))
            .await?;
    }
    Ok(())
}

fn requests() -> [ReadRequest; 5] {
    [
        ReadRequest::all(),
        ReadRequest::stream(stream("a-1")),
        ReadRequest::category(category("a")),
        ReadRequest::matching(criteria(&[(&["hot"], &[])])),
        ReadRequest::stream(stream("none-1")),
    ]
}

async fn same_in_pages(bench: &Bench, request: &ReadRequest) -> Verdict {
    let whole = labels(&bench.read(request.clone()).await?);
    for size in 1..=whole.len() + 1 {
        let paged = request.clone().events_max(size);
        let found = labels(&bench.read(paged.clone()).await?);
        check_eq(pages::text_of(&paged), found, whole.as_slice())?;
    }
    Ok(())
}

async fn pages_of_every_size_show_the_same(bench: &Bench) -> Verdict {
    fill(bench).await?;
    for request in requests() {
        same_in_pages(bench, &request).await?;
    }
    Ok(())
}

async fn backward_pages_of_every_size_show_the_same(bench: &Bench) -> Verdict {
    fill(bench).await?;
    for request in requests() {
        same_in_pages(bench, &request.backward()).await?;
    }
    Ok(())
}

async fn pages_of_any_bytes_show_the_same(bench: &Bench) -> Verdict {
    let payloads = ["", "1", "22", "", "55555", "1", "999999999", "", "", "4444"];
    bench.write("a-1", &payloads).await?;
    for bytes in (0..=100).step_by(3) {
        let request = ReadRequest::stream(stream("a-1")).bytes_max(bytes);
        bench.shows(request.clone(), &payloads).await?;
        bench.shows(request.events_max(3), &payloads).await?;
    }
    if bench.capabilities().backward_reads {
        let mut reverse = payloads;
        reverse.reverse();
        for bytes in (0..=100).step_by(3) {
            let request = ReadRequest::stream(stream("a-1"))
                .bytes_max(bytes)
                .backward();
            bench.shows(request, &reverse).await?;
        }
    }
    Ok(())
}

async fn a_page_at_the_end_has_no_next(bench: &Bench) -> Verdict {
    fill(bench).await?;
    for request in [ReadRequest::all(), ReadRequest::stream(stream("a-1"))] {
        let request = bench.ordered(request);
        let count = bench.read(request.clone()).await?.len();
        for size in 1..=count + 1 {
            let paged = request.clone().events_max(size);
            let all = pages::read_pages(&**bench.store(), paged.clone()).await?;
            let last = all.last().map_or(0, |page| page.events.len());
            ensure!(
                last > 0,
                "{}: the last page is empty, so the one before it had no need of a next",
                pages::text_of(&paged)
            );
        }
    }
    Ok(())
}

/// Reads page by page, but goes on by cursor each time, as a reader does that was restarted.
async fn a_reader_goes_on_from_any_cursor(bench: &Bench) -> Verdict {
    fill(bench).await?;
    for request in requests() {
        let request = bench.ordered(request);
        let whole = labels(&bench.read(request.clone()).await?);
        for size in 1..=whole.len() + 1 {
            let mut seen: Vec<RecordedEvent> = Vec::new();
            let mut cursor = Cursor::START;
            loop {
                let paged = request.clone().after(cursor.clone()).events_max(size);
                let page = bench.store().read(paged).await?;
                let done = page.next.is_none();
                ensure!(
                    done || (page.cursor.covers(&cursor) && page.cursor != cursor),
                    "{}: the cursor goes from {cursor} to {}",
                    pages::text_of(&request),
                    page.cursor
                );
                cursor = page.cursor;
                seen.extend(page.events);
                if done {
                    break;
                }
            }
            let what = format!("{}, {size} at a time by cursor", pages::text_of(&request));
            check_eq(what, labels(&seen), whole.as_slice())?;
        }
    }
    Ok(())
}

async fn pages_keep_to_the_bounds(bench: &Bench) -> Verdict {
    fill(bench).await?;
    let all = bench.read(ReadRequest::all()).await?;
    let (Some(third), Some(tenth)) = (all.get(2), all.get(9)) else {
        return Err(Failure::new("twelve events were expected"));
    };
    let (version, until) = (Version::FIRST, Version::new(3));
    for request in requests() {
        let bounded = request.after(third.position()).until(tenth.position());
        same_in_pages(bench, &bounded).await?;
        if bench.capabilities().backward_reads {
            same_in_pages(bench, &bounded.backward()).await?;
        }
    }
    let of_a = ReadRequest::stream(stream("a-1"))
        .after_version(version)
        .until_version(until);
    same_in_pages(bench, &of_a).await
}

async fn events_appended_between_pages_come_once(bench: &Bench) -> Verdict {
    for request in [
        ReadRequest::all(),
        ReadRequest::stream(stream("a-1")),
        ReadRequest::category(category("a")),
        ReadRequest::matching(criteria(&[(&["noted"], &[])])),
    ] {
        let from = bench.mark().await?;
        bench.write("a-1", &["1", "2", "3"]).await?;
        let request = bench.ordered(request).after(from);
        let mut seen = Vec::new();
        let mut late = ["4", "5"].iter();
        let mut next = Some(request.clone().events_max(1));
        while let Some(asked) = next {
            let page = bench.store().read(asked).await?;
            if let (Some(_), Some(label)) = (page.events.first(), late.next()) {
                bench.write("a-1", &[label]).await?;
            }
            seen.extend(labels(&page.events));
            ensure!(
                seen.len() <= 5,
                "five events were appended, {seen:?} are shown"
            );
            next = page.next;
        }
        let what = format!("{}, with two appends meanwhile", pages::text_of(&request));
        check_eq(what, seen, ["1", "2", "3", "4", "5"])?;
    }
    Ok(())
}

async fn events_appended_between_backward_pages_do_not_come(bench: &Bench) -> Verdict {
    bench.write("a-1", &["1", "2", "3", "4", "5"]).await?;
    let request = ReadRequest::stream(stream("a-1")).backward().events_max(2);
    let mut seen = Vec::new();
    let mut next = Some(request);
    while let Some(asked) = next {
        let page = bench.store().read(asked).await?;
        seen.extend(labels(&page.events));
        ensure!(
            seen.len() <= 5,
            "there were five events, {seen:?} are shown"
        );
        next = page.next;
        bench.write("a-1", &["late"]).await?;
    }
    check_eq(
        "a stream backward, with appends meanwhile",
        seen,
        ["5", "4", "3", "2", "1"],
    )
}

async fn sparse_events_are_found(bench: &Bench) -> Verdict {
    for number in 0..5 {
        let quiet = (0..200).map(|_| typed("cold", &[], "-"));
        bench
            .append(bench.fresh().write(stream("b-1"), Expected::Any, quiet))
            .await?;
        let label = number.to_string();
        let hot = typed("hot", &["t:1"], &label);
        bench
            .append(bench.fresh().write(stream("a-1"), Expected::Any, [hot]))
            .await?;
    }
    for request in [
        ReadRequest::matching(criteria(&[(&["hot"], &[])])),
        ReadRequest::matching(criteria(&[(&[], &["t:1"])])),
        ReadRequest::category(category("a")),
    ] {
        for size in 1..=6 {
            let paged = request.clone().events_max(size);
            bench.shows(paged, &["0", "1", "2", "3", "4"]).await?;
        }
    }
    Ok(())
}

async fn many_events_come_in_pages_by_default(bench: &Bench) -> Verdict {
    for number in 0..10 {
        let name = ["a-1", "b-1"].get(number % 2).copied().unwrap_or("a-1");
        let labels: Vec<String> = (0..250).map(|label: u32| label.to_string()).collect();
        let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
        bench.write(name, &labels).await?;
    }
    let request = bench.ordered(ReadRequest::all());
    let pages = pages::read_pages(&**bench.store(), request).await?;
    let count: usize = pages.iter().map(|page| page.events.len()).sum();
    check_eq("how many events come", count, 2500)?;
    ensure!(
        pages.len() >= 3,
        "2500 events in {} pages of at most 1000",
        pages.len()
    );
    Ok(())
}
