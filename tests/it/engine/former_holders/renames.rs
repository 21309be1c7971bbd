//! Names that move on, and swaps.

use serde_json::json;

use super::World;

impl World {
    async fn rename(&self, account: &str, name: &str) {
        self.app.patch(&format!("/accounts/{account}"), json!({ "userName": name })).await.expect(200);
    }
}

/// The last of the chain goes first: whoever takes a name finds it free.
#[tokio::test]
async fn names_that_move_on_do_so_from_the_end_of_the_chain() {
    let world = World::new(json!({ "maxParallelJobs": 4 })).await;
    let mut accounts = Vec::new();
    for name in ["a", "b", "c"] {
        accounts.push(world.account(name).await);
    }
    world.set_paused(true).await;
    for (account, name) in accounts.iter().zip(["b", "c", "d"]).rev() {
        world.rename(account, name).await;
    }
    world.set_paused(false).await;
    for account in &accounts {
        world.app.until_runs(&world.target, account, 2).await;
    }
    world.assert_content(&[("b", &accounts[0]), ("c", &accounts[1]), ("d", &accounts[2])]);
    let renames: Vec<String> = world.calls("PUT")[3..].iter().map(|call| call.path.clone()).collect();
    assert_eq!(renames, ["/users/d", "/users/c", "/users/b"]);
    for account in &accounts {
        let provision = world.app.provision(account, &world.target).await;
        assert_eq!(provision["status"], "provisioned", "{provision}");
    }
}

#[tokio::test]
async fn a_swap_settles() {
    let world = World::new(json!({ "maxParallelJobs": 4 })).await;
    let (first, second) = (world.account("a").await, world.account("b").await);
    world.set_paused(true).await;
    world.rename(&first, "between").await;
    world.rename(&second, "a").await;
    world.rename(&first, "b").await;
    world.set_paused(false).await;
    for (account, name) in [(&first, "b"), (&second, "a")] {
        world
            .app
            .until(format!("{account} to be {name}"), async || {
                let provision = world.app.provision(account, &world.target).await;
                let settled = provision["status"] == "provisioned" && provision["remoteId"] == name;
                if settled { Ok(()) } else { Err(provision) }
            })
            .await;
    }
    world.assert_content(&[("a", &second), ("b", &first)]);
}

/// The name goes from a renamed account to a new one, and on when that is deleted.
#[tokio::test]
async fn a_name_is_handed_over_again_and_again() {
    let world = World::new(json!({ "guard": { "count": 100 } })).await;
    let renamed = world.account("jo").await;
    world.set_paused(true).await;
    world.rename(&renamed, "jo.old").await;
    let mut last = world.app.account(&world.store, "jo", json!({})).await;
    world.set_paused(false).await;
    world.until_provisioned(&last).await;
    for _ in 0..5 {
        last = world.again(&last, "jo").await;
    }
    world.until_provisioned(&last).await;
    world.app.until_runs(&world.target, &renamed, 2).await;
    world.assert_content(&[("jo", &last), ("jo.old", &renamed)]);
}
