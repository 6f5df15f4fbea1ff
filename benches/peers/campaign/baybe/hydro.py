import sys

import numpy as np
import pandas as pd
from ask import ask, read, write
from baybe import Campaign, Settings
from baybe.acquisition import qNegIntegratedPosteriorVariance
from baybe.recommenders import BotorchRecommender, TwoPhaseMetaRecommender
from baybe.searchspace import SubspaceDiscrete
from baybe.targets import NumericalTarget

RANGES = {
    "longitudinal_position": (-5.0, 0.0),
    "prismatic_coefficient": (0.53, 0.6),
    "length_displacement_ratio": (4.34, 5.14),
    "beam_draught_ratio": (2.81, 5.35),
    "length_beam_ratio": (2.73, 3.64),
    "froude_number": (0.125, 0.45),
}
INPUTS = list(RANGES)
Settings(random_seed=int(sys.argv[1])).activate()
low, high = np.transpose(list(RANGES.values()))
pool = pd.DataFrame(np.random.default_rng(int(sys.argv[1])).uniform(low, high, (500, 6)), columns=INPUTS)

campaign = Campaign(
    SubspaceDiscrete.from_dataframe(pool).to_searchspace(),
    NumericalTarget("y0").to_objective(),
    TwoPhaseMetaRecommender(
        recommender=BotorchRecommender(acquisition_function=qNegIntegratedPosteriorVariance(sampling_n_points=256))
    ),
)
for _ in range(20):
    points = campaign.recommend(batch_size=10)[INPUTS]
    points["y0"] = [y for (y,) in ask(["dal", "label", "hydro", "--input", "-"], INPUTS, points.values)]
    campaign.add_measurements(points)

campaign.measurements[["y0"]].to_csv("labels.csv", index=False)
wanted = pd.DataFrame(read(sys.argv[2], INPUTS), columns=INPUTS, dtype=float)
write("predictions.csv", ["y0"], campaign.posterior_stats(wanted)[["y0_mean"]].values)
