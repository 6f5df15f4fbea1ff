dal new campaign --problem problem.toml --seed "$1"
dal run campaign --budget 200
dal predict campaign --input "$2" > predictions.csv
