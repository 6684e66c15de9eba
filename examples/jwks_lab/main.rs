//! What rotation, a flood of junk and an outage of the issuer do to an API: a timeline of the client that keeps its keys.
//!
//! ```sh
//! cargo run --example jwks_lab
//! ```
//!
//! It starts an issuer on loopback that misbehaves as it is told, and an API that trusts it with the settings that every
//! API has; only the clock is turned by hand, so hours take moments. Each line is one time of the clock: what happens at
//! the issuer, how the keys and their fetch are then, and what clients are answered. The legend at the top of the timeline
//! explains the columns. Three things to look for:
//!
//! - a good token is answered with 200 whatever happens, until the keys have been stale for an hour;
//! - the issuer is asked once for a crowd, and once in 30 s for any amount of junk;
//! - "waiting" is different in each run, because every pause between attempts is shortened by up to a tenth by chance.
//!
//! Between two lines nothing runs: in a real hour of outage, the issuer would be asked about sixty times and not once.

#![allow(clippy::print_stdout, reason = "the timeline is what it is for")]

use std::error::Error;

mod lab;
mod login;

use lab::{Lab, Line};
use login::Mood;

const LEGEND: &str = "\
The issuer's keys are good for 1 h (max-age=3600), renewed in the background after about 80 % of that, and used for
1 h more while no new ones can be had. An unknown key is worth one fetch in 30 s.

time   by the clock that the tokens, the API and its keys live by
keys   key_status().keys: fresh; stale, with the time at which their life ended; none that can be used
fetch  key_status().fetch: idle; running; waiting, and for how long until the next attempt
asked  how often the issuer was asked for its keys since the line above
known  a token that the API has seen before, twice: as soon as the clock was turned, and at the end of the line
fresh  a token that the issuer has signed just now
junk   tokens that name a key that nobody has, all at once
";

// Everything shares one thread, so that each line finds things as the line above left them.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    println!("{LEGEND}");
    Line([
        "time",
        "what happens",
        "keys",
        "fetch",
        "asked",
        "known",
        "fresh",
        "junk",
    ])
    .print();
    let mut lab = Lab::open().await?;
    rotation(&mut lab).await?;
    flood(&mut lab).await?;
    outage(&mut lab).await
}

async fn rotation(lab: &mut Lab) -> Result<(), Box<dyn Error>> {
    println!("\nrotation");
    lab.at(0, 0, 0);
    lab.line("the first 100 requests, all at once", 100, 0).await?;
    lab.at(0, 30, 0);
    lab.line("half of the keys' life is over", 1, 0).await?;
    lab.at(0, 54, 0);
    lab.line("nine tenths: renewed meanwhile", 1, 0).await?;
    lab.at(0, 55, 0).issuer_rotates()?;
    lab.line("the issuer adds key 2 and signs with it", 1, 0).await?;
    lab.at(1, 0, 0).issuer_withdraws_the_oldest_key();
    lab.line("it withdraws key 1, of the known token", 1, 0).await?;
    lab.at(1, 49, 0);
    lab.line("renewed: key 1 has gone; asked again", 1, 0).await?;
    lab.clients_renew();
    Ok(())
}

async fn flood(lab: &mut Lab) -> Result<(), Box<dyn Error>> {
    println!("\nflood");
    lab.at(1, 50, 0);
    lab.line("200 junk tokens", 1, 200).await?;
    lab.at(1, 50, 10);
    lab.line("more, within the 30 s", 1, 200).await?;
    lab.at(1, 50, 20).issuer_rotates()?;
    lab.line("the issuer adds key 3 and signs with it", 1, 200)
        .await?;
    lab.at(1, 50, 30);
    lab.line("the 30 s are over: junk brings key 3", 1, 200).await?;
    lab.at(1, 51, 0);
    lab.line("and the next 30 s", 1, 200).await?;
    Ok(())
}

async fn outage(lab: &mut Lab) -> Result<(), Box<dyn Error>> {
    println!("\noutage");
    lab.at(2, 45, 0).issuer_turns(Mood::Breaks);
    lab.line("the issuer breaks off connections", 1, 0).await?;
    lab.at(2, 45, 1).issuer_turns(Mood::Fails);
    lab.line("it answers 500", 1, 0).await?;
    lab.at(2, 45, 3).issuer_turns(Mood::Busy);
    lab.line("it answers 429, Retry-After: 120", 1, 0).await?;
    lab.at(2, 46, 3);
    lab.line("it is left alone, junk or not", 1, 200).await?;
    lab.at(2, 47, 3).issuer_turns(Mood::Garbage);
    lab.line("it answers 200 with an HTML page", 1, 0).await?;
    lab.at(2, 51, 0).issuer_turns(Mood::Hangs);
    lab.line("it hangs, as the keys' life ends", 1, 0).await?;
    lab.at(2, 51, 4).issuer_turns(Mood::Fails);
    lab.line("at last it answers: 500", 1, 0).await?;
    lab.at(3, 20, 0).issuer_turns(Mood::Breaks);
    lab.line("it breaks off connections again", 1, 200).await?;
    lab.at(3, 50, 59);
    lab.line("the last second of the old keys", 1, 0).await?;
    lab.at(3, 51, 0);
    lab.line("the keys are too old", 1, 0).await?;
    lab.at(3, 51, 30).issuer_is_well();
    lab.line("the issuer is well, and not asked yet", 1, 0).await?;
    lab.at(3, 52, 0);
    lab.line("the next attempt", 1, 0).await?;
    lab.at(4, 46, 0);
    lab.line("and everything is as before", 1, 0).await
}
