"""Which scenes share a shard: decided by the scenes, so that one more or less moves as little as it can."""

from tasks.earth.chip_shards import LONGEST, Shard, plan_shards

SIZE = 1000
SCENES = {("s2", f"S2_{number:05d}"): 40 + number * 37 % 200 for number in range(3000)}


def test_a_scene_that_comes_or_goes_changes_the_shard_that_it_lies_in_and_no_other() -> None:
    before = set(plan_shards(SCENES, SIZE))
    changed = []
    for number in range(0, 3000, 100):
        without = {key: count for key, count in SCENES.items() if key[1] != f"S2_{number:05d}"}
        changed.append(len(before ^ set(plan_shards(without, SIZE))))
    assert sorted(changed)[len(changed) // 2] == 2, "one shard for another"
    assert max(changed) <= 8


def test_shards_are_of_the_size_that_was_asked_for_and_a_million_chips_at_most_a_thousand_objects() -> None:
    shards = plan_shards(SCENES, 1200)
    chips = sum(SCENES.values())
    assert sum(shard.windows for shard in shards) == chips
    assert max(shard.windows for shard in shards) <= LONGEST * 1200
    assert len(shards) / chips * 1e6 <= 1000
    assert len({shard.name for shard in shards}) == len(shards)


def test_a_scene_that_is_larger_than_a_shard_has_its_own() -> None:
    windows = {("s2", "A"): 10, ("s2", "B"): 5 * SIZE, ("s2", "C"): 10}
    assert Shard((("s2", "B"),), 5 * SIZE) in plan_shards(windows, SIZE)
