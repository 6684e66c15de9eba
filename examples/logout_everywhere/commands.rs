//! What to paste, and the status that each gives.

use tower_resource_server::MintedKey;
use tower_resource_server::testing::TestIssuer;

use crate::server::LONGEST_LIFE;

pub(crate) struct Commands {
    run: String,
    phone: String,
    laptop: String,
    admin: String,
    robot: String,
}

impl Commands {
    pub(crate) fn new(idp: &TestIssuer, run: &str, admin: &MintedKey, robot: &MintedKey) -> Self {
        let token = |id: &str| {
            let token = idp.token().subject(format!("alice-{run}"));
            token
                .token_id(format!("{id}-{run}"))
                .expires_in(LONGEST_LIFE)
                .sign()
        };
        Self {
            run: run.to_owned(),
            phone: token("phone"),
            laptop: token("laptop"),
            admin: admin.expose().to_owned(),
            robot: robot.expose().to_owned(),
        }
    }

    /// Everything is withdrawn at the first server, and tried at the second.
    pub(crate) fn print(&self, here: &str, there: &str) {
        let Self {
            run,
            phone,
            laptop,
            admin,
            robot,
        } = self;
        let withdraw = |what: &str| {
            println!("curl -si -X POST -H 'X-API-Key: {admin}' {here}/logout/{what}-{run} # 204");
        };
        println!("curl -si -H 'Authorization: Bearer {phone}' {there}/me # 200");
        withdraw("token/phone");
        println!("curl -si -H 'Authorization: Bearer {phone}' {there}/me # 401");
        println!("curl -si -H 'Authorization: Bearer {laptop}' {there}/transfer # 200");
        withdraw("subject/alice");
        println!("curl -si -H 'Authorization: Bearer {laptop}' {there}/transfer # 401");
        println!("curl -si -H 'X-API-Key: {robot}' {there}/me # 200");
        withdraw("key/key_robot");
        println!("curl -si -H 'X-API-Key: {robot}' {there}/me # 401");
        println!("curl -si -X POST -H 'X-API-Key: {admin}' {here}/logout/planet/earth # 404");
    }
}
