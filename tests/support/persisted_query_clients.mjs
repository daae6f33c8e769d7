// Sends one query with a client's own persisted-query link; prints the client's data and the requests that it sent.
//   node persisted_query_clients.mjs <apollo|urql|relay> <url> <authorization> <folder of manifests> <text by get: on|off>
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

const [kind, url, authorization, folder, textByGet] = process.argv.slice(2);
const QUERY = 'query Assistants($first: Int!) { assistants(first: $first) { nodes { id name } } }';
const variables = { first: 3 };
const headers = { authorization };
const sent = [];

const recordingFetch = (address, options) => {
  const body = options.body ? JSON.parse(options.body) : Object.fromEntries(new URL(address).searchParams);
  sent.push({ method: options.method ?? 'GET', text: body.query != null, id: body.documentId ?? null });
  return fetch(address, options);
};

async function apollo() {
  const { ApolloClient, HttpLink, InMemoryCache, gql } = await import('@apollo/client');
  const { PersistedQueryLink } = await import('@apollo/client/link/persisted-queries');
  const { generatePersistedQueryIdsFromManifest } = await import('@apollo/persisted-query-lists');
  const loadManifest = () => JSON.parse(readFileSync(`${folder}/apollo.json`, 'utf8'));
  const link = new PersistedQueryLink(generatePersistedQueryIdsFromManifest({ loadManifest }));
  const client = new ApolloClient({
    link: link.concat(new HttpLink({ uri: url, headers, fetch: recordingFetch })),
    cache: new InMemoryCache(),
  });
  return (await client.query({ query: gql(QUERY), variables })).data;
}

async function urql() {
  const { Client, fetchExchange } = await import('@urql/core');
  const { persistedExchange } = await import('@urql/exchange-persisted');
  const client = new Client({
    url,
    exchanges: [persistedExchange({ preferGetForPersistedQueries: textByGet === 'on' && 'within-url-limit' }), fetchExchange],
    fetchOptions: { headers },
    fetch: recordingFetch,
    preferGetMethod: textByGet === 'on' && 'within-url-limit',
  });
  const result = await client.query(QUERY, variables).toPromise();
  if (result.error) throw result.error;
  return result.data;
}

async function relay() {
  const { Environment, Network, RecordSource, Store, fetchQuery } = (await import('relay-runtime')).default;
  const artifact = `${folder}/src/__generated__/AssistantsQuery.graphql.js`;
  const { default: query } = await import(pathToFileURL(artifact));
  const network = Network.create(async (params, values) => {
    const body = JSON.stringify({ documentId: params.id, query: params.text, variables: values });
    const options = { method: 'POST', headers: { ...headers, 'Content-Type': 'application/json' }, body };
    return (await recordingFetch(url, options)).json();
  });
  const environment = new Environment({ network, store: new Store(new RecordSource()) });
  return fetchQuery(environment, query, variables).toPromise();
}

const data = await { apollo, urql, relay }[kind]();
console.log(JSON.stringify({ data, sent }));
process.exit(0);
