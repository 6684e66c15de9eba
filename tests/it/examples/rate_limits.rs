//! `rate_limits`: the fields that its commands show, and with `REDIS_URL` two processes that share what their callers have.

use std::collections::BTreeSet;

use super::curl::Curl;
use super::{Running, carry_out, client, command};
use crate::redis_server::{RedisServer, engines};

#[tokio::test]
async fn its_commands_run_into_the_limit_and_show_the_fields() {
    let example = Running::start("rate_limits").await;
    let client = client();
    let mut shown = BTreeSet::new();
    for line in example.commands() {
        let (command, status) = Curl::parse(line);
        shown.insert(status);
        let limited = command.header("x-api-key").is_some();
        let answer = carry_out(&client, command).await;
        assert_eq!(answer.status(), status, "{line}");
        let field = |name: &str| {
            answer
                .headers()
                .get(name)
                .map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!(field("ratelimit").is_some(), limited, "{line}");
        assert_eq!(field("ratelimit-policy").is_some(), limited, "{line}");
        assert_eq!(field("retry-after").is_some(), status == 429, "{line}");
        if let Some(policy) = field("ratelimit-policy") {
            let of_plans = ["\"free\";q=2;w=10", "\"gold\";q=5;w=3"];
            assert!(of_plans.contains(&&*policy), "{policy}");
        }
    }
    assert_eq!(shown, BTreeSet::from([200, 401, 429]));
}

#[tokio::test]
async fn with_an_engine_two_processes_share_and_without_it_each_has_its_part() {
    for program in engines() {
        println!("{}", program.display());
        let engine = RedisServer::start(&program);
        let url = format!("redis://{}/", engine.address());
        let started = async || {
            let mut command = command("rate_limits", "0").await;
            command.env("REDIS_URL", &url);
            Running::of(command).await
        };
        let (first, second) = (started().await, started().await);
        let client = client();
        // Both have the commands of the same owners; the first is without a key, and then come three of the smaller plan.
        let free = |example: &Running| Curl::parse(example.commands().nth(1).unwrap()).0;
        let mut statuses = Vec::new();
        for example in [&first, &second, &second, &first] {
            statuses.push(carry_out(&client, free(example)).await.status().as_u16());
        }
        assert_eq!(statuses, [200, 200, 429, 429]);
        drop(engine);
        let health = |example: &Running| format!("{}/health", example.url);
        for example in [&first, &second] {
            for _ in 0..3 {
                carry_out(&client, free(example)).await;
            }
            let told = client
                .get(health(example))
                .send()
                .await
                .unwrap()
                .text()
                .await
                .unwrap();
            assert!(told.contains("Some(\n        false"), "{told}");
        }
    }
}
