import sys

import numpy as np
import pandas as pd
from ask import ask, read, write
from baybe import Campaign, Settings
from baybe.acquisition import qNegIntegratedPosteriorVariance
from baybe.recommenders import BotorchRecommender, TwoPhaseMetaRecommender
from baybe.searchspace import SubspaceDiscrete
from baybe.targets import NumericalTarget

INPUTS = ["base", "angle_1", "angle_2", "angle_3"]
OUTPUTS = ["y0", "y1"]
HIGH = [1.0, np.pi / 2, np.pi / 2, np.pi / 2]
Settings(random_seed=int(sys.argv[1])).activate()

rng = np.random.default_rng(int(sys.argv[1]))
pool = pd.DataFrame(rng.uniform(-np.array(HIGH), HIGH, (500, 4)), columns=INPUTS)
space = SubspaceDiscrete.from_dataframe(pool).to_searchspace()
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
    points[OUTPUTS] = ask(["dal", "label", "robo", "--input", "-"], INPUTS, points.values)
    labels = pd.concat([labels, points])
    for campaign, name in zip(campaigns, OUTPUTS):
        campaign.add_measurements(points[[*INPUTS, name]])

labels[OUTPUTS].to_csv("labels.csv", index=False)
wanted = pd.DataFrame(read(sys.argv[2], INPUTS), columns=INPUTS, dtype=float)
write("predictions.csv", OUTPUTS, np.column_stack([c.posterior_stats(wanted).iloc[:, 0] for c in campaigns]))
