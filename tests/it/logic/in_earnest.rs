//! What fails in earnest fails in the tests beside the logic.

use super::tested;

#[tokio::test]
async fn forgotten_calls_lost_values_and_unknown_secrets_are_errors_in_a_test_too() {
    let results = tested(
        "export default async ({ account, connection }) => {
            const { how } = account.attributes, url = 'https://crm.example/users?q=1';
            if (how === 'forgets') fetch(url, { method: 'POST', body: 'x' });
            if (how === 'awaits') await fetch(url, { method: 'POST', body: 'x' });
            if (how === 'aborts') await fetch(url, { method: 'POST', body: 'x', signal: AbortSignal.timeout(5) }).catch(() => {});
            if (how === 'races') await Promise.race([fetch(url, { method: 'POST' }), 1]);
            const attributes = how === 'loses' ? { phones: ['1', NaN] } : {};
            if (how === 'asks') console.log(connection.secrets.tokn);
            return { status: 'provisioned', attributes };
        };
        const answers = ({ url }) => ({ status: 201 });
        const never = () => new Promise(() => {});
        const run = (t, how, more) => t.run({ account: { attributes: { how } }, answers, ...more });
        const failed = async (t, how, more) => {
            const { response, error } = await run(t, how, more);
            t.equal([response, error.errorClass], [undefined, 'logic']);
            throw error;
        };
        export const tests = {
            async awaits(t) { t.equal((await run(t, 'awaits')).requests.length, 1) },
            async aborts(t) { t.equal((await run(t, 'aborts', { answers: never })).response?.status, 'provisioned') },
            async forgets(t) { await failed(t, 'forgets') },
            async races(t) { await failed(t, 'races') },
            async loses(t) { await failed(t, 'loses') },
            async asks(t) { await failed(t, 'asks', { connection: { secrets: { token: 'x' } } }) },
            async given(t) { await run(t, 'awaits', { groups: [{ id: undefined, displayName: NaN }] }) },
        };",
    )
    .await;
    assert!(results[0].passed && results[1].passed, "{results:?}");
    let messages: Vec<_> = results[2..]
        .iter()
        .map(|result| result.message.as_deref().unwrap().lines().next().unwrap())
        .collect();
    let under_way = "logic answered while POST https://crm.example/users was under way: an `await` is missing, or it should be aborted";
    assert_eq!(
        messages,
        [
            under_way,
            under_way,
            "`attributes.phones[1]` in the response is NaN, which is no number in JSON",
            "TypeError: `ctx.connection.secrets` has no `tokn`: there are `token` (`\"name\" in secrets` asks)",
            "`groups[0].displayName` in what `t.run` is given is NaN, which is no number in JSON",
        ]
    );
}
