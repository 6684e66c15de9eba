//! GitHub Actions: "OpenID Connect reference" in its documentation.

use axum::Router;
use axum::routing::get;
use serde::Deserialize;
use serde_json::json;
use tower_resource_server::testing::TokenBuilder;
use tower_resource_server::{Claims, Issuer, IssuerBuilder, JwtLayer, WithAudience};

use super::{IDP, app, caller, keys, reason, token};
use crate::support::{bearer, call};

const GITHUB: &str = "https://token.actions.githubusercontent.com";
const API: &str = "https://deploy.example.com";
const SUBJECT: &str = "repo:octo-org@123456/octo-repo@456789:environment:production";

#[derive(Debug, Deserialize)]
struct Job {
    run_id: String,
    job_workflow_ref: String,
}

/// The guide's recipe.
fn recipe() -> IssuerBuilder<WithAudience> {
    Issuer::builder(GITHUB)
        .audience(API)
        .subjects([SUBJECT])
        .without_users()
        .claims::<Job>()
}

fn job_token() -> TokenBuilder {
    let claims = json!({
        "jti": "0cc5df1c-aa1b-4b5f-8bd5-f1ac7d5b3a57",
        "sub": SUBJECT,
        "aud": API,
        "ref": "refs/heads/main",
        "ref_type": "branch",
        "sha": "9726662b3a5c8b2f0e3d1c4a5b6978877665544a",
        "repository": "octo-org/octo-repo",
        "repository_id": "456789",
        "repository_owner": "octo-org",
        "repository_owner_id": "123456",
        "repository_visibility": "private",
        "environment": "production",
        "event_name": "push",
        "actor": "octocat",
        "actor_id": "12",
        "workflow": "deploy",
        "workflow_ref": "octo-org/octo-repo/.github/workflows/deploy.yml@refs/heads/main",
        "job_workflow_ref": "octo-org/octo-repo/.github/workflows/deploy.yml@refs/heads/main",
        "run_id": "4711",
        "run_number": "10",
        "run_attempt": "1",
        "runner_environment": "github-hosted",
        "iss": GITHUB,
    });
    token(Some("JWT"), claims)
}

#[tokio::test]
async fn a_job_is_known_by_its_subject_and_is_no_user() {
    let expected = json!({
        "issuer": GITHUB,
        "subject": SUBJECT,
        "client": null,
        "scopes": [],
        "user": false,
        "id": "0cc5df1c-aa1b-4b5f-8bd5-f1ac7d5b3a57",
    });
    assert_eq!(caller(&app(recipe()), job_token()).await, expected);
}

#[tokio::test]
async fn a_handler_reads_what_the_job_is() {
    let who = |job: Claims<Job>| async move { format!("{} {}", job.run_id, job.job_workflow_ref) };
    let issuer = recipe().keys(keys()).clock(IDP.clock().clone());
    let app = Router::new()
        .route("/", get(who))
        .layer(JwtLayer::new(issuer.build().unwrap()));
    assert_eq!(
        call(&app, bearer(&job_token().sign())).await.body,
        "4711 octo-org/octo-repo/.github/workflows/deploy.yml@refs/heads/main"
    );
}

#[tokio::test]
async fn a_job_of_another_repository_branch_or_event_is_refused() {
    let app = app(recipe());
    for subject in [
        "repo:mallory@1/octo-repo@2:environment:production",
        // A repository that was deleted and made again by somebody else.
        "repo:octo-org@999/octo-repo@998:environment:production",
        "repo:octo-org/octo-repo:environment:production",
        "repo:octo-org@123456/octo-repo@456789:environment:staging",
        "repo:octo-org@123456/octo-repo@456789:ref:refs/heads/main",
        "repo:octo-org@123456/octo-repo@456789:pull_request",
        "",
    ] {
        assert_eq!(
            reason(&app, job_token().subject(subject)).await,
            "subject_not_accepted",
            "{subject}"
        );
    }
    assert_eq!(reason(&app, job_token().without("sub")).await, "claim_missing");
}

#[tokio::test]
async fn every_branch_of_a_repository_can_be_accepted_by_a_function() {
    let app = app(recipe().subjects_where(|subject| {
        subject.starts_with("repo:octo-org@123456/octo-repo@456789:ref:refs/heads/")
    }));
    let branch = job_token().subject("repo:octo-org@123456/octo-repo@456789:ref:refs/heads/next");
    assert_eq!(reason(&app, branch).await, "ok");
    assert_eq!(reason(&app, job_token()).await, "subject_not_accepted");
}

#[tokio::test]
async fn a_token_for_another_service_or_of_another_installation_is_refused() {
    let app = app(recipe());
    for (token, expected) in [
        // What a job gets that names no audience.
        (
            job_token().audience("https://github.com/octo-org"),
            "audience_mismatch",
        ),
        (job_token().audience("sts.amazonaws.com"), "audience_mismatch"),
        (
            job_token().claim("iss", "https://github.example.com/_services/token"),
            "issuer_unknown",
        ),
        (
            job_token().claim("iss", format!("{GITHUB}/octo-org")),
            "issuer_unknown",
        ),
    ] {
        assert_eq!(reason(&app, token).await, expected);
    }
}
