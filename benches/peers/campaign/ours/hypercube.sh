dal design problem.toml -n 200 --seed "$1" > design.csv
dal label problem.toml --input design.csv --out answers.csv
dal new campaign --problem problem.toml --seed "$1"
dal tell campaign answers.csv
dal predict campaign --input "$2" > predictions.csv
