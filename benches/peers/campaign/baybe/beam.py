import sys

import numpy as np
import pandas as pd
from ask import ask, read, write
from baybe import Campaign, Settings
from baybe.acquisition import qNegIntegratedPosteriorVariance
from baybe.recommenders import BotorchRecommender, TwoPhaseMetaRecommender
from baybe.searchspace import SubspaceDiscrete
from baybe.targets import NumericalTarget

INPUTS = ["length", "load", "taper", "height", "layers", "material"]
OUTPUTS = ["deflection", "stress"]
Settings(random_seed=int(sys.argv[1])).activate()

# The load and both outputs by their logarithms.
MATERIALS = ["steel", "aluminium", "oak"]
rng = np.random.default_rng(int(sys.argv[1]))
pool = pd.DataFrame(
    rng.uniform([0.5, np.log(10.0), 0.4, 0.06], [3.0, np.log(2000.0), 1.0, 0.2], (500, 4)), columns=INPUTS[:4]
)
space = SubspaceDiscrete.from_dataframe(
    pool.assign(layers=rng.integers(1, 5, 500), material=rng.choice(MATERIALS, 500)),
).to_searchspace()
# The acquisition takes one output: a campaign for each, asked in turns, told everything.
campaigns = [
    Campaign(
        space,
        NumericalTarget(name).to_objective(),
        TwoPhaseMetaRecommender(
            recommender=BotorchRecommender(acquisition_function=qNegIntegratedPosteriorVariance(sampling_n_points=256))
        ),
    )
    for name in OUTPUTS
]
labels = pd.DataFrame()
for turn in range(20):
    points = campaigns[turn % 2].recommend(batch_size=10)[INPUTS]
    physical = points.assign(load=np.exp(points["load"]), layers=points["layers"].astype(int))
    points[OUTPUTS] = np.log(ask(["python3", "beam.py"], INPUTS, physical.values))
    labels = pd.concat([labels, points])
    for campaign, name in zip(campaigns, OUTPUTS):
        campaign.add_measurements(points[[*INPUTS, name]].dropna())

labels[OUTPUTS].to_csv("labels.csv", index=False)
wanted = pd.DataFrame(read(sys.argv[2], INPUTS), columns=INPUTS)
wanted[INPUTS[:5]] = wanted[INPUTS[:5]].astype(float)
wanted["load"] = np.log(wanted["load"])
write("predictions.csv", OUTPUTS, np.exp(np.column_stack([c.posterior_stats(wanted).iloc[:, 0] for c in campaigns])))
