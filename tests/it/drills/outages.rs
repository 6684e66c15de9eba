//! Every trouble for an hour by the clock. Whoever has a valid token does not notice; a service that never had keys says
//! 503; and the first attempt after the trouble is enough.

use super::trouble::{Trouble, drill};

#[tokio::test]
async fn an_issuer_that_is_down_stops_nobody() {
    drill(Trouble::Down).await;
}

#[tokio::test]
async fn an_issuer_that_hangs_stops_nobody() {
    drill(Trouble::Hangs).await;
}

#[tokio::test]
async fn an_issuer_that_resets_connections_stops_nobody() {
    drill(Trouble::Resets).await;
}

#[tokio::test]
async fn an_issuer_that_answers_500_stops_nobody() {
    drill(Trouble::InternalError).await;
}

#[tokio::test]
async fn an_issuer_that_asks_for_a_pause_stops_nobody() {
    drill(Trouble::TooManyRequests).await;
}

#[tokio::test]
async fn an_issuer_that_sends_byte_by_byte_stops_nobody() {
    drill(Trouble::Drips).await;
}

#[tokio::test]
async fn a_document_of_50_mb_stops_nobody() {
    drill(Trouble::Pours).await;
}

#[tokio::test]
async fn a_document_of_50_mb_that_does_not_tell_its_length_stops_nobody() {
    drill(Trouble::PoursWithoutLength).await;
}

#[tokio::test]
async fn a_page_in_place_of_the_keys_stops_nobody() {
    drill(Trouble::WrongContent).await;
}

#[tokio::test]
async fn truncated_json_stops_nobody() {
    drill(Trouble::TruncatedJson).await;
}

#[tokio::test]
async fn a_connection_that_breaks_off_in_the_document_stops_nobody() {
    drill(Trouble::BreaksOff).await;
}

#[tokio::test]
async fn a_document_without_keys_stops_nobody() {
    drill(Trouble::NoKeys).await;
}

#[tokio::test]
async fn a_redirect_to_another_host_stops_nobody_and_is_not_followed() {
    drill(Trouble::Redirects).await;
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_stops_nobody() {
    drill(Trouble::UntrustedCertificate).await;
}

#[tokio::test]
async fn a_name_that_does_not_exist_stops_nobody() {
    drill(Trouble::NameThatDoesNotExist).await;
}
