-- The warehouse: one table per stage of the arrow, keyed so that one partition can be replaced without the others.
-- Only tables and views belong here; every statement may be run again on an existing warehouse.

create table if not exists dimensions (
    population varchar, edition varchar, position integer, dimension varchar, label varchar, tier integer, definition varchar,
    ordinal boolean, sensitive boolean, categories varchar[], category_labels varchar[], parents varchar[]
);

-- condition: the one row that is asked for; null where the whole map is.
create table if not exists requests (
    population varchar, edition varchar, dimension varchar, model varchar, given varchar[], condition varchar[], variant varchar,
    custom_id varchar, number_format varchar, system varchar, prompt varchar, settings varchar
);

-- Raw, as received: text is the answer, received the whole response body. asked_as: the custom id that was sent, that of a
-- re-ask where it was one.
create table if not exists completions (
    population varchar, edition varchar, dimension varchar, model varchar, custom_id varchar, attempt integer,
    answered_by varchar, text varchar, finish_reason varchar, received varchar, asked_as varchar
);

-- The books: every call, whether or not an answer came of it, attempt counting all calls for a request. started: UTC.
-- usd: US dollars; basis: what they rest on (reported, tokens, estimated, free). What was not measured is null.
create table if not exists calls (
    population varchar, edition varchar, dimension varchar, model varchar, custom_id varchar, asked_as varchar,
    attempt integer, outcome varchar, started varchar, seconds double, tokens_in bigint, tokens_out bigint, usd double,
    basis varchar
);

-- Asking that ended because the budget was used up; "left" is how many requests are still to be put.
create table if not exists budget_stops (
    edition varchar, "at" timestamp, spent double, budget double, "left" bigint
);

-- The books: every call, whether or not an answer came of it, attempt counting all calls for a request. started: UTC.
-- usd: US dollars; basis: what they rest on (reported, tokens, estimated, free). What was not measured is null.
create table if not exists calls (
    population varchar, edition varchar, dimension varchar, model varchar, custom_id varchar, asked_as varchar,
    attempt integer, outcome varchar, started varchar, seconds double, tokens_in bigint, tokens_out bigint, usd double,
    basis varchar
);

create table if not exists estimates (
    population varchar, edition varchar, dimension varchar, model varchar, variant varchar, given varchar[],
    condition varchar[], category varchar, probability double
);

create table if not exists rejections (
    population varchar, edition varchar, dimension varchar, model varchar, given varchar[], custom_id varchar,
    attempt integer, reason varchar, detail varchar, text varchar
);

-- What every panel member has shown, and the pooling weight that follows. Requests: in all, answered at all, accepted at the
-- first answer, accepted in the end. hedging: mean entropy over the consensus's, in nats. distance (nats) and tv: from the
-- pool of all others. information: of its one-way maps, over the consensus's. similarity: correlation of what sets it and
-- its nearest member apart from the consensus. Per accepted cell: what was paid and the tokens; null where unknown.
create table if not exists scorecards (
    population varchar, edition varchar, model varchar, requests integer, answered integer, first integer, accepted integer,
    rejected struct(reason varchar, answers integer)[], hedging double, distance double, tv double, information double,
    nearest varchar, similarity double, usd_per_cell double, tokens_per_cell double, median_seconds double, p95_seconds double,
    weight double
);

-- How far the pool of a map moves without one member, in total variation; null where no other has a say.
create table if not exists influences (
    population varchar, edition varchar, dimension varchar, given varchar[], model varchar, tv double,
    worst_tv double, worst_condition varchar[]
);

-- Pooled across the panel. spread: between-model standard deviation of the log probability, in nats. A held-out map is
-- asked as every other, but no fit sees it.
create table if not exists maps (
    population varchar, edition varchar, dimension varchar, given varchar[], held_out boolean, condition varchar[], category varchar,
    probability double, spread double, models integer, support double
);

-- What the chosen strategy compiled to: multiplicative factors, row-major over (*sizes of given, categories).
create table if not exists weights (
    population varchar, edition varchar, dimension varchar, "order" integer, given varchar[], shape integer[],
    factors double[]
);

-- Every strategy tried on every dimension; one that declined has a reason and no scores. tv: total variation, js:
-- Jensen-Shannon divergence in nats, low and high: bounds of the 95 % bootstrap interval.
create table if not exists trials (
    population varchar, edition varchar, dimension varchar, strategy varchar, chosen boolean, tied boolean,
    runner_up boolean, reason varchar, override varchar, margin double,
    marginal_tv double, one_way_tv double, two_way_tv double,
    held_out_tv double, held_out_tv_low double, held_out_tv_high double,
    held_out_js double, held_out_js_low double, held_out_js_high double,
    diversity double, extreme double, projection_tv double, converged boolean, iterations integer
);

-- The same map by map, with Pearson's chi-square of a drawn batch against the map and Cohen's w as its effect size.
create table if not exists trial_maps (
    population varchar, edition varchar, dimension varchar, strategy varchar, given varchar[], role varchar,
    tv double, tv_low double, tv_high double, js double, js_low double, js_high double,
    chi_square double, freedom integer, p_value double, effect double
);

create table if not exists snapshots (
    population varchar, snapshot_id varchar, edition varchar, catalogue_hash varchar, folder varchar
);

-- How far a batch of personas lies from each pooled map, in total variation, weighted by the conditions' mass.
create table if not exists map_distances (
    population varchar, edition varchar, snapshot_id varchar, dimension varchar, given varchar[], held_out boolean, personas bigint, tv double, js double,
    worst_tv double, worst_condition varchar[], worst_mass double
);

-- What each stored partition was made from: a build redoes what no longer matches.
create table if not exists fingerprints (
    stage varchar, population varchar, edition varchar, dimension varchar, model varchar, fingerprint varchar
);

-- What moved from one snapshot to another. kind: map (tv: total variation of its rows, weighted by the conditions' mass),
-- gone and new (maps that only one has), strategy, marginal (tv of the personas' marginal; changed: share of personas whose
-- value is another), pair (dimension and given[1], Cramer's V before and after). low and high: bounds of the 95 % interval;
-- noise: the tv to expect had nothing moved, from the spread between the members.
create table if not exists drifts (
    population varchar, edition_a varchar, snapshot_a varchar, edition_b varchar, snapshot_b varchar, kind varchar,
    dimension varchar, given varchar[], tv double, low double, high double, noise double, changed double,
    v_before double, v_after double, before varchar, after varchar
);

-- Which snapshot serves, and what served before it: a row per promotion, the last one counts.
create table if not exists promotions (
    population varchar, edition varchar, snapshot_id varchar, previous varchar, "at" timestamp
);

-- The enrichment of names, by kind: first (names) and last (surnames). A request asks about a hundred names; born: whether
-- a cohort curve is asked for too.
create table if not exists name_requests (
    population varchar, edition varchar, kind varchar, model varchar, custom_id varchar, number integer, variant varchar,
    names varchar[], born boolean, system varchar, prompt varchar, settings varchar
);

-- Raw, as received; asked_as: the custom id that was sent, that of a later asking where it was one.
create table if not exists name_completions (
    population varchar, edition varchar, kind varchar, model varchar, custom_id varchar, asked_as varchar, attempt integer,
    answered_by varchar, text varchar, finish_reason varchar, received varchar
);

-- One name each, shares from 0 to 1. key: the name as the Census writes it. heritage: the listed shares; what is missing to 1
-- is of heritages that were not listed. Null: female for surnames, born_* where births are known, spelling where it is name.
create table if not exists name_estimates (
    population varchar, edition varchar, kind varchar, model varchar, custom_id varchar, attempt integer, variant varchar,
    key varchar, name varchar, female double, heritage struct(heritage varchar, share double)[],
    born_before_1950 double, born_1950_1969 double, born_1970_1989 double, born_1990_on double, spelling varchar
);

-- Entries that were not used. key and name are empty where an entry, or an answer as a whole, is of no name asked for.
create table if not exists name_rejections (
    population varchar, edition varchar, kind varchar, model varchar, custom_id varchar, attempt integer, key varchar,
    name varchar, reason varchar, detail varchar, text varchar
);

-- Warehouses of earlier releases get the columns that these lack. They held one edition's fingerprints and distances, that
-- of their snapshot.
alter table fingerprints add column if not exists edition varchar;
alter table map_distances add column if not exists edition varchar;
update fingerprints set edition = coalesce((select any_value(edition) from snapshots), '2026.11') where edition is null;
update map_distances set edition = coalesce((select any_value(edition) from snapshots), '2026.11') where edition is null;
alter table requests add column if not exists condition varchar[];
alter table completions add column if not exists asked_as varchar;
alter table maps add column if not exists held_out boolean;
alter table map_distances add column if not exists held_out boolean;
alter table trials drop column if exists one_way_worst;
alter table trials drop column if exists js;
alter table trials add column if not exists tied boolean;
alter table trials add column if not exists runner_up boolean;
alter table trials add column if not exists override varchar;
alter table trials add column if not exists margin double;
alter table trials add column if not exists held_out_tv double;
alter table trials add column if not exists held_out_tv_low double;
alter table trials add column if not exists held_out_tv_high double;
alter table trials add column if not exists held_out_js double;
alter table trials add column if not exists held_out_js_low double;
alter table trials add column if not exists held_out_js_high double;
alter table trials add column if not exists diversity double;
alter table trials add column if not exists extreme double;
alter table trials add column if not exists projection_tv double;
alter table trials add column if not exists converged boolean;
alter table trials add column if not exists iterations integer;

-- The maps as a person reads them: P(education | age=18_24, sex=female), in percent.
create or replace view map_rows as
select
    population, edition, dimension,
    case when len(given) = 0 then 'P(' || dimension || ')'
         else 'P(' || dimension || ' | '
              || array_to_string(list_transform(list_zip(given, condition), lambda pair: pair[1] || '=' || pair[2]), ', ')
              || ')' end as row_name,
    category, round(100 * probability, 3) as percent, round(spread, 4) as spread, models
from maps;

-- How the panel fared: accepted and rejected answers by member and reason.
create or replace view answer_counts as
select r.population, r.edition, r.model,
    count(distinct r.custom_id) as requests,
    (select count(distinct q.custom_id) from requests q semi join estimates e using (population, edition, model, dimension, given)
     where q.population = r.population and q.edition = r.edition and q.model = r.model) as accepted,
    (select count(*) from rejections j
     where j.population = r.population and j.edition = r.edition and j.model = r.model) as rejected_answers
from requests r group by all order by all;

-- What a panel member's calls took. Seconds are those of answered calls that were timed.
create or replace view spend as
select edition, model, count(*) as calls, count(*) filter (outcome = 'answered') as answered,
    sum(tokens_in)::bigint as tokens_in, sum(tokens_out)::bigint as tokens_out, sum(usd) as usd,
    median(seconds) filter (outcome = 'answered') as median_seconds,
    quantile_cont(seconds, 0.95) filter (outcome = 'answered') as p95_seconds
from calls group by all order by all;
